import {
  hypercallName,
  hypercallPageSize,
  hypercalls,
  type HypercallLayout,
  type HypercallName,
} from '../abi/hypercalls.js';
import { bytesArgument, choiceArgument, integerArgument, rangeError } from '../arguments.js';
import { takeOptions, type OptionTable, type Taken } from '../options.js';
import {
  HypercallList,
  hypercallOf,
  hypercallPages,
  largestList,
  type HypercallTarget,
} from './hypercall-pages.js';

/** A descriptor that passes hypercalls through, and not the same ones as the others. */
export type HypercallDescriptor = 'device' | 'partition' | 'vp';

/** A hypercall with its input packed by the caller. */
export interface HypercallOptions {
  /** One that the driver passes through on this descriptor, by name or code. */
  code: HypercallName | number;
  /**
   * The whole input: the fixed part, reserved fields included, then the list. Bytes 0 to 7, the
   * partition id, may be anything: the driver writes it.
   */
  input: Uint8Array;
  /** The elements of the list: required for a rep call, not allowed for a simple one. Any number of pages of them. */
  reps?: number;
  /**
   * How many bytes of a simple call's output to return. Default: all of it. What the hypervisor did not
   * write is undefined.
   */
  outputSize?: number;
}

const accepted = {
  device: (layout: HypercallLayout) => layout.device,
  partition: () => true,
  vp: (layout: HypercallLayout) => layout.vp,
} as const;

const namesOf = (descriptor: HypercallDescriptor): HypercallName[] =>
  (Object.keys(hypercalls) as HypercallName[]).filter((name) =>
    accepted[descriptor](hypercalls[name]),
  );
const passedThrough = {
  device: namesOf('device'),
  partition: namesOf('partition'),
  vp: namesOf('vp'),
} as const;

function codeArgument(
  code: HypercallName | number,
  descriptor: HypercallDescriptor,
): HypercallName {
  const names = passedThrough[descriptor];
  if (typeof code !== 'number') {
    return choiceArgument('options.code', code, names);
  }
  const name = hypercallName(code);
  if (name === undefined || !names.includes(name)) {
    throw rangeError(
      'options.code',
      `a code that the driver passes through on a ${descriptor} descriptor`,
      `0x${code.toString(16)}`,
    );
  }
  return name;
}

// The list of this call is in no input: it is the pages from a page number (at byte 16) on.
const pageList = hypercalls.HVCALL_GET_GPA_PAGES_ACCESS_STATES.code;

const hypercallOptions = {
  // Which codes there are depends on the descriptor.
  code: (_, code: HypercallName | number) => code,
  input: bytesArgument,
  // What they may be depends on the code.
  reps: (_, reps: number | undefined) => reps,
  outputSize: (_, size: number | undefined) => size,
} satisfies OptionTable<HypercallOptions>;

type CheckedOptions = Taken<typeof hypercallOptions>;

/**
 * Any hypercall of the driver's allow-list, finished: what the hypervisor did in parts, or put off until it
 * had memory, is continued, and a list longer than a page is split.
 *
 * @returns the output, the elements of a rep call's one after the other
 */
export function performHypercall(
  target: HypercallTarget,
  descriptor: HypercallDescriptor,
  given: HypercallOptions,
): Uint8Array {
  const options = takeOptions('options', given, hypercallOptions);
  const name = codeArgument(options.code, descriptor);
  return hypercalls[name].kind === 'simple'
    ? performSimple(target, name, options)
    : performReps(target, name, options);
}

function performSimple(
  { native, fd }: HypercallTarget,
  name: HypercallName,
  { input, reps, outputSize: wanted = hypercalls[name].output }: CheckedOptions,
): Uint8Array {
  const layout = hypercalls[name];
  if (reps !== undefined) {
    throw rangeError('options.reps', `absent: ${name} is no rep call`, reps);
  }
  const least = Math.min(1, layout.output);
  const output = integerArgument('options.outputSize', wanted, least, layout.output);
  checkLength(name, input, layout.input, hypercallPageSize);
  const borrowed = fd();
  hypercallPages.inputBytes(input.length).set(input);
  const call = hypercallOf(name, `call ${name}`, { output });
  hypercallPages.call(native, borrowed, call, input.length);
  return hypercallPages.outputBytes(output).slice();
}

function performReps(
  { native, fd }: HypercallTarget,
  name: HypercallName,
  { input, reps, outputSize }: CheckedOptions,
): Uint8Array {
  const layout = hypercalls[name];
  const { repInput, repOutput } = layout;
  const total = integerArgument('options.reps', reps, 1, largestList);
  if (outputSize !== undefined) {
    throw rangeError(
      'options.outputSize',
      `absent: the output of ${name} has ${repOutput} bytes for each rep`,
      outputSize,
    );
  }
  const whole = layout.input + total * repInput;
  checkLength(name, input, whole, whole);
  const output = new Uint8Array(total * repOutput);
  const elements = layout.code === pageList ? undefined : input.subarray(layout.input);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const repeatable = elements !== undefined || view.getBigUint64(8, true) === 0n;
  const list = new HypercallList(hypercallOf(name, `call ${name}`, { repeatable }));
  const borrowed = fd();
  for (list.begin(total); !list.isDone;) {
    const first = list.done;
    const inputLength = layout.input + list.next * repInput;
    const page = hypercallPages.inputBytes(inputLength);
    page.set(input.subarray(0, layout.input));
    if (elements === undefined) {
      hypercallPages.input.setBigUint64(16, view.getBigUint64(16, true) + BigInt(first), true);
    } else {
      page.set(elements.subarray(first * repInput, (first + list.next) * repInput), layout.input);
    }
    const done = hypercallPages.repCall(native, borrowed, list, inputLength);
    output.set(hypercallPages.outputBytes(done * repOutput), first * repOutput);
  }
  return output;
}

function checkLength(name: HypercallName, input: Uint8Array, least: number, most: number): void {
  if (input.length < least || input.length > most) {
    const accepts = least === most ? `${least}` : `${least} to ${most}`;
    throw rangeError('options.input', `${accepts} bytes for ${name}`, `${input.length} bytes`);
  }
}
