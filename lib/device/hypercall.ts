import { constants } from 'node:os';

import { hvStatusCodes, hvStatusName } from '../abi/hv-status.js';
import {
  hypercallName,
  hypercallPageSize,
  hypercalls,
  repsPerPage,
  type HypercallLayout,
  type HypercallName,
} from '../abi/hypercalls.js';
import {
  bytesArgument,
  choiceArgument,
  integerArgument,
  optionsArgument,
  rangeError,
} from '../arguments.js';
import { EBADFD, errnoCode } from '../errno.js';
import { MshvError } from '../errors.js';
import type { Native } from '../native.js';

/** The most elements that the list of one call may have, however many pages they take. */
export const largestList = 2 ** 28;

/**
 * How often a call is tried that does not get on: while the driver says that it has given the
 * hypervisor memory (`EAGAIN`, drivers before Linux 7.2), or that nothing was done.
 */
const attemptsWithoutProgress = 64;

/** How often a call is tried that a signal kept from beginning. */
const interruptedAttempts = 5;

/**
 * The input and the output of one hypercall at a time.
 *
 * Every object of an environment uses the same pages, because a call is over before the next one can
 * begin: nothing between writing the input and reading the output may call code of others. What an
 * earlier call left beyond the input's end is never handed over.
 */
export class HypercallPages {
  readonly #inputBytes = new Uint8Array(hypercallPageSize);
  readonly #outputBytes = new Uint8Array(hypercallPageSize);
  /** By length, so that a call allocates nothing. */
  readonly #inputs: (Uint8Array | undefined)[] = [];
  readonly #outputs: (Uint8Array | undefined)[] = [];
  readonly #result = new Uint32Array(2);
  readonly input = new DataView(this.#inputBytes.buffer);
  readonly output = new DataView(this.#outputBytes.buffer);
  /** The same bytes in words of 64 bits. */
  readonly inputWords = new BigUint64Array(this.#inputBytes.buffer);
  readonly outputWords = new BigUint64Array(this.#outputBytes.buffer);

  inputBytes(length: number): Uint8Array {
    return (this.#inputs[length] ??= this.#inputBytes.subarray(0, length));
  }

  outputBytes(length: number): Uint8Array {
    return (this.#outputs[length] ??= this.#outputBytes.subarray(0, length));
  }

  /**
   * Issues a simple call, and again until it is done or refused.
   *
   * @param attempt - what is being done, in the caller's terms: `'request an interrupt'`
   * @param vp - follows `attempt` in messages: `'get registers of VP'`, 3
   */
  call(
    native: Native,
    fd: number,
    name: HypercallName,
    inputLength: number,
    outputLength: number,
    attempt: string,
    vp?: number,
  ): void {
    this.repCall(native, fd, name, 0, inputLength, outputLength, true, attempt, vp, 0, 0);
  }

  /**
   * Issues a rep call and returns how many of its `reps` elements are done, at least 1: the output has
   * so many. The caller goes on with the next one.
   *
   * @param reps - 0 for a simple call, which has no elements
   * @param repeatable - whether doing an element again changes nothing. The output of elements that
   *   were done before the hypervisor asked for memory is lost, so a call with an output is repeated then.
   * @param first - how many elements of the caller's list are done already, of `total`
   */
  repCall(
    native: Native,
    fd: number,
    name: HypercallName,
    reps: number,
    inputLength: number,
    outputLength: number,
    repeatable: boolean,
    attempt: string,
    vp: number | undefined,
    first: number,
    total: number,
  ): number {
    const { code } = hypercalls[name];
    const input = this.inputBytes(inputLength);
    const output = this.outputBytes(outputLength);
    const result = this.#result;
    let interrupted = 0;
    let returned = 0;
    let status = 0;
    let done = 0;
    for (let tries = 0; tries < attemptsWithoutProgress; tries++) {
      result[0] = 0;
      result[1] = 0;
      returned = native.hypercall(fd, code, reps, input, output, result);
      status = result[0];
      done = Math.min(result[1], reps);
      if (returned === 0) {
        if (reps === 0 || done > 0) {
          return done;
        }
      } else if (returned === -constants.errno.EAGAIN) {
        if (done > 0 && outputLength === 0) {
          return done;
        }
        if (done > 0 && !repeatable) {
          break;
        }
      } else if (returned !== -constants.errno.EINTR || ++interrupted === interruptedAttempts) {
        break;
      }
    }
    throw hypercallError(attempt, vp, name, returned, status, first + done, total);
  }
}

/** The pages of this environment. */
export const hypercallPages = new HypercallPages();

function hypercallError(
  attempt: string,
  vp: number | undefined,
  name: HypercallName,
  returned: number,
  status: number,
  done: number,
  total: number,
): MshvError {
  const what = vp === undefined ? attempt : `${attempt} ${vp}`;
  const code = returned === 0 ? 'ERR_MSHV_NO_PROGRESS' : errnoCode(returned);
  const progress = total > 1 ? ` after ${done} of ${total}` : '';
  const statusName = hvStatusName(status) ?? `HV_STATUS_0x${status.toString(16)}`;
  return new MshvError(
    `cannot ${what}${progress}: ${code} (MSHV_ROOT_HVCALL, ${name}): ${reason(returned, status, statusName)}`,
    {
      code,
      ...(returned === 0 ? {} : { errno: returned }),
      syscall: 'ioctl',
      ioctl: 'MSHV_ROOT_HVCALL',
      hypercall: name,
      ...(status === hvStatusCodes.HV_STATUS_SUCCESS
        ? {}
        : { hvStatus: { code: status, name: statusName } }),
      ...(total > 0 ? { repsCompleted: done } : {}),
    },
  );
}

const driverReasons = new Map([
  [-constants.errno.EINVAL, 'the driver refused the call before the hypervisor saw it'],
  [-constants.errno.EPERM, 'an earlier change of a property has not been completed'],
  [-constants.errno.EINTR, `signals interrupted it ${interruptedAttempts} times`],
  [-constants.errno.ENOTTY, 'this driver passes no hypercalls through'],
  [-EBADFD, 'the hypervisor put off a call that the driver cannot wait for'],
  [-constants.errno.EAGAIN, 'the hypervisor went on asking for memory'],
  [0, 'the hypervisor reported success and did nothing'],
]);

function reason(returned: number, status: number, statusName: string): string {
  if (returned === -constants.errno.EAGAIN || status === hvStatusCodes.HV_STATUS_SUCCESS) {
    return driverReasons.get(returned) ?? 'the driver refused the call';
  }
  return `the hypervisor refused it with ${statusName} (0x${status.toString(16)})`;
}

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

/**
 * Any hypercall of the driver's allow-list, finished: what the hypervisor did in parts, or put off until it
 * had memory, is continued, and a list longer than a page is split.
 *
 * @param fd - evaluated once the arguments are right
 * @returns the output, the elements of a rep call's one after the other
 */
export function performHypercall(
  native: Native,
  fd: () => number,
  descriptor: HypercallDescriptor,
  options: HypercallOptions,
): Uint8Array {
  optionsArgument('options', options, ['code', 'input', 'reps', 'outputSize']);
  const name = codeArgument(options.code, descriptor);
  const layout: HypercallLayout = hypercalls[name];
  const input = bytesArgument('options.input', options.input);
  const attempt = `call ${name}`;
  if (layout.kind === 'simple') {
    if (options.reps !== undefined) {
      throw rangeError('options.reps', `absent: ${name} is no rep call`, options.reps);
    }
    const { outputSize: wanted = layout.output } = options;
    const least = Math.min(1, layout.output);
    const outputSize = integerArgument('options.outputSize', wanted, least, layout.output);
    checkLength(name, input, layout.input, hypercallPageSize);
    hypercallPages.inputBytes(input.length).set(input);
    hypercallPages.call(native, fd(), name, input.length, outputSize, attempt);
    return hypercallPages.outputBytes(outputSize).slice();
  }

  const { reps, outputSize } = options;
  const total = integerArgument('options.reps', reps, 1, largestList);
  if (outputSize !== undefined) {
    throw rangeError(
      'options.outputSize',
      `absent: the output of ${name} has ${layout.repOutput} bytes for each rep`,
      outputSize,
    );
  }
  const whole = layout.input + total * layout.repInput;
  checkLength(name, input, whole, whole);
  const output = new Uint8Array(total * layout.repOutput);
  const perPage = repsPerPage(layout);
  const list = layout.code === pageList ? undefined : input.subarray(layout.input);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const repeatable = list !== undefined || view.getBigUint64(8, true) === 0n;
  const borrowed = fd();
  for (let first = 0; first < total;) {
    const count = Math.min(perPage, total - first);
    const inputLength = layout.input + count * layout.repInput;
    const page = hypercallPages.inputBytes(inputLength);
    page.set(input.subarray(0, layout.input));
    if (list === undefined) {
      hypercallPages.input.setBigUint64(16, view.getBigUint64(16, true) + BigInt(first), true);
    } else {
      const { repInput } = layout;
      page.set(list.subarray(first * repInput, (first + count) * repInput), layout.input);
    }
    const done = hypercallPages.repCall(
      native,
      borrowed,
      name,
      count,
      inputLength,
      count * layout.repOutput,
      repeatable,
      attempt,
      undefined,
      first,
      total,
    );
    output.set(hypercallPages.outputBytes(done * layout.repOutput), first * layout.repOutput);
    first += done;
  }
  return output;
}

function checkLength(name: HypercallName, input: Uint8Array, least: number, most: number): void {
  if (input.length < least || input.length > most) {
    const accepts = least === most ? `${least}` : `${least} to ${most}`;
    throw rangeError('options.input', `${accepts} bytes for ${name}`, `${input.length} bytes`);
  }
}
