import { synicLimits } from '../abi/synic.js';
import { integerArgument, isObject, rangeError, typeError } from '../arguments.js';
import { defaulting, optional, pageMultiple, takeOptions, type OptionTable } from '../options.js';
import type { GuestProcessor, Step } from './guest-steps.js';

/** What a guest enables of its SynIC. */
export interface SynicSetup {
  /** The GPA of the message page, a multiple of 4096. Default: left as it is. */
  simp?: bigint | number;
  /** The GPA of the page of event flags, a multiple of 4096. Default: left as it is. */
  siefp?: bigint | number;
  /** Vectors, 16 to 255, by SINT, 0 to 15: `{ 2: 0x52 }`. The others are left as they are, masked at first. */
  sints?: Readonly<Record<number, number>>;
}

const synicSetup = {
  simp: optional(pageMultiple()),
  siefp: optional(pageMultiple()),
  sints: defaulting(sintVectors, []),
} satisfies OptionTable<SynicSetup>;

/** Bit 0 of SCONTROL, SIMP and SIEFP. */
const enable = 1n;

/** What a guest does to enable that. */
export function synicSteps(setup: SynicSetup, { writeSynic }: GuestProcessor): Step[] {
  const { simp, siefp, sints } = takeOptions('setup', setup, synicSetup);
  const writes: Step[] = [];
  if (simp !== undefined) {
    writes.push(writeSynic('SIMP', 0, simp | enable));
  }
  if (siefp !== undefined) {
    writes.push(writeSynic('SIEFP', 0, siefp | enable));
  }
  for (const [sint, vector] of sints) {
    writes.push(writeSynic('SINT0', sint, BigInt(vector)));
  }
  return [...writes, writeSynic('SCONTROL', 0, enable)];
}

function sintVectors(
  name: string,
  sints: Readonly<Record<number, number>>,
): [sint: number, vector: number][] {
  if (!isObject(sints) || Array.isArray(sints)) {
    throw typeError(name, 'an object', sints);
  }
  return Object.entries(sints).map(([key, vector]) => {
    const sint = Number(key);
    if (String(sint) !== key || !Number.isInteger(sint) || sint < 0 || sint >= synicLimits.sints) {
      throw rangeError(name, 'an object whose keys are SINTs, 0 to 15', key);
    }
    return [sint, integerArgument(`${name}[${key}]`, vector, 16, 255)];
  });
}
