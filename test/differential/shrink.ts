/** A step as the numbers it is made of, see `Choices`. */
export type Numbers = readonly number[];

/**
 * The shortest sequence found that still fails: steps are left out, first many at once, then the numbers of
 * those that are left are made small.
 *
 * @param attempts - how often `fails` may be asked
 */
export function shrink(
  sequence: readonly Numbers[],
  fails: (sequence: readonly Numbers[]) => boolean,
  attempts: number,
): readonly Numbers[] {
  let left = attempts;
  let best = sequence;
  const accept = (candidate: readonly Numbers[]): boolean => {
    if (left-- <= 0 || !fails(candidate)) return false;
    best = candidate;
    return true;
  };
  const leaveOut = (): boolean => {
    let isShorter = false;
    for (let size = Math.ceil(best.length / 2); size > 0; size = size > 1 ? size >> 1 : 0) {
      // From the end on: what is last depends on what is before it.
      for (let end = best.length; end > 0 && left > 0; end -= size) {
        const first = Math.max(0, end - size);
        if (accept([...best.slice(0, first), ...best.slice(end)])) isShorter = true;
      }
    }
    return isShorter;
  };
  const simplify = (): boolean => {
    let isSimpler = false;
    for (let i = 0; i < best.length && left > 0; i++) {
      // The first number says what kind of step it is.
      for (let j = 1; j < (best[i]?.length ?? 0) && left > 0; j++) {
        const present = best[i]?.[j] ?? 0;
        for (const smaller of new Set([0, present >>> 1, present - 1])) {
          if (present === 0 || smaller < 0 || smaller >= present) continue;
          const numbers = [...(best[i] ?? [])];
          numbers[j] = smaller;
          if (accept(best.map((step, at) => (at === i ? numbers : step)))) {
            isSimpler = true;
            break;
          }
        }
      }
    }
    return isSimpler;
  };
  let goesOn = true;
  while (goesOn && left > 0) {
    const isShorter = leaveOut();
    goesOn = simplify() || isShorter;
  }
  return best;
}
