/** One report of a sanitizer. */
export interface Report {
  /** The first line. */
  readonly title: string;
  readonly text: string;
  /** Whether it counts. */
  readonly ours: boolean;
}

const beginning =
  /(?=^(?:==\d+==ERROR: (?!LeakSanitizer: detected)|WARNING: ThreadSanitizer: |(?:Direct|Indirect) leak of |.*: runtime error: ))/m;

const race = 'WARNING: ThreadSanitizer: ';
const leak = /^(?:Direct|Indirect) leak of /;

/** A line of a stack, and the file that its code is in. */
const frame = /^ *#\d+ .*\((?:[^()]*\/)?([^()/]+)\+0x[0-9a-f]+\)/gm;

const addon = /^mshv(?:_sim)?\.node$/;

/** What works for others: the sanitizers themselves and the libraries of C and C++. */
const library = /^(?:lib[atu]?san|libstdc\+\+|libc|ld-linux[^.]*)\./;

/** Where a descriptor comes from that threads use at the same time. */
const originOfDescriptor = /^ *Location is file descriptor .*(?:\n.+)*/m;

const noise =
  /^(?:==\d+==ERROR: LeakSanitizer: detected memory leaks|ThreadSanitizer: reported \d+ warnings|=+)$/gm;

/**
 * What a log of AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer or LeakSanitizer reports.
 *
 * Everything counts but what ThreadSanitizer and LeakSanitizer say of Node, which is not instrumented: how its threads
 * synchronise by atomics is not seen, and what it leaves allocated at its end is its own. What is no report at all
 * counts, too: the sanitizer has failed.
 */
export function reportsIn(log: string): Report[] {
  return log
    .replace(noise, '')
    .split(beginning)
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => ({ title: text.split('\n', 1).join(), text, ours: isOurs(text) }));
}

function isOurs(text: string): boolean {
  if (leak.test(text)) {
    // Whatever Node has allocated for us, too.
    return filesOf(text).some((file) => addon.test(file));
  }
  return !text.startsWith(race) || isRaceOfOurs(text);
}

/**
 * A race counts where an addon has accessed or allocated the memory, or made one of the threads: Node-API on a thread
 * of an addon's is not Node's fault. What Node does inside of a call from an addon, such as collecting garbage, is
 * Node's. What was not kept of a stack may have been ours, but for what another addon, such as a bundler, shares with
 * itself.
 *
 * Of a race for a descriptor, the stack that made it decides: ThreadSanitizer does not know memfd_create, nor that Node
 * closes files by system calls, and takes a number that the kernel has given out again for the file that it was before.
 */
function isRaceOfOurs(text: string): boolean {
  const stacks = (originOfDescriptor.exec(text)?.[0] ?? text).split(/\n *\n/);
  const innermost = stacks.map((stack) => filesOf(stack).find((file) => !library.test(file)) ?? '');
  return (
    innermost.some((file) => addon.test(file)) ||
    (stacks.some((stack) => stack.includes('[failed to restore the stack]')) &&
      !innermost.some((file) => file.endsWith('.node')))
  );
}

/** The files of a stack's frames, from the innermost on. */
function filesOf(stack: string): string[] {
  return Array.from(stack.matchAll(frame), ([, file = '']) => file);
}
