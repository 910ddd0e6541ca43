import { constants } from 'node:os';

import { hvStatusCodes, hvStatusName } from '../abi/hv-status.js';
import {
  hypercallPageSize,
  hypercalls,
  repsPerPage,
  type HypercallLayout,
  type HypercallName,
} from '../abi/hypercalls.js';
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

/** What hypercalls are made on: a descriptor that is asked for anew with each of them. */
export interface HypercallTarget {
  readonly native: Native;
  /** @throws MshvError `ERR_MSHV_CLOSED` */
  readonly fd: () => number;
}

/** A hypercall as one of this library's functions makes it. */
export interface Hypercall {
  readonly name: HypercallName;
  readonly layout: HypercallLayout;
  /** What is being done, in the caller's terms: `'request an interrupt'`. A VP's number follows it, where there is one. */
  readonly attempt: string;
  /** How many bytes of a simple call's output are returned. */
  readonly output: number;
  /**
   * Whether doing an element of a rep call again changes nothing. The output of elements that were done before the
   * hypervisor asked for memory is lost, so a call with an output is repeated then.
   */
  readonly repeatable: boolean;
}

export function hypercallOf(
  name: HypercallName,
  attempt: string,
  details: Partial<Pick<Hypercall, 'output' | 'repeatable'>> = {},
): Hypercall {
  const layout = hypercalls[name];
  return { name, layout, attempt, output: layout.output, repeatable: true, ...details };
}

/** The list of a rep call, and how far it is. One serves any number of calls after each other, without allocating. */
export class HypercallList {
  readonly call: Hypercall;
  readonly #perCall: number;
  #vp: number | undefined;
  #total = 0;
  #done = 0;

  constructor(call: Hypercall) {
    this.call = call;
    this.#perCall = repsPerPage(call.layout);
  }

  /** @param vp - whose registers they are, say: for messages */
  begin(total: number, vp?: number): this {
    this.#vp = vp;
    this.#total = total;
    this.#done = 0;
    return this;
  }

  get vp(): number | undefined {
    return this.#vp;
  }

  get total(): number {
    return this.#total;
  }

  /** How many elements are done: the index of the next one. */
  get done(): number {
    return this.#done;
  }

  get isDone(): boolean {
    return this.#done >= this.#total;
  }

  /** How many elements the next call takes. */
  get next(): number {
    return Math.min(this.#perCall, this.#total - this.#done);
  }

  advance(done: number): void {
    this.#done += done;
  }
}

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
  /** What came of the last call: what the driver returned, the hypervisor's status, and the elements done. */
  #returned = 0;
  #status = 0;
  #done = 0;
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
   * Makes a simple call, and again until it is done or refused.
   *
   * @param fd - got before the input was written, since getting it may call code of others
   * @param vp - for messages: `'translate an address of VP'`, 3
   */
  call(native: Native, fd: number, call: Hypercall, inputLength: number, vp?: number): void {
    if (!this.#make(native, fd, call, 0, inputLength)) {
      throw this.#refusal(call, vp, 0, 0);
    }
  }

  /**
   * Makes a rep call for the next elements of a list and returns how many of them are done, at least 1: the output has
   * so many. The list is further by them; the caller goes on with the next one.
   */
  repCall(native: Native, fd: number, list: HypercallList, inputLength: number): number {
    if (!this.#make(native, fd, list.call, list.next, inputLength)) {
      throw this.#refusal(list.call, list.vp, list.done + this.#done, list.total);
    }
    list.advance(this.#done);
    return this.#done;
  }

  /** @param reps - 0 for a simple call, which has no elements */
  #make(native: Native, fd: number, call: Hypercall, reps: number, inputLength: number): boolean {
    const { layout, repeatable } = call;
    const outputLength = reps === 0 ? call.output : reps * layout.repOutput;
    const input = this.inputBytes(inputLength);
    const output = this.outputBytes(outputLength);
    const result = this.#result;
    let interrupted = 0;
    for (let tries = 0; tries < attemptsWithoutProgress; tries++) {
      result[0] = 0;
      result[1] = 0;
      this.#returned = native.hypercall(fd, layout.code, reps, input, output, result);
      this.#status = result[0];
      this.#done = Math.min(result[1], reps);
      if (this.#returned === 0) {
        if (reps === 0 || this.#done > 0) {
          return true;
        }
      } else if (this.#returned === -constants.errno.EAGAIN) {
        if (this.#done > 0 && outputLength === 0) {
          return true;
        }
        if (this.#done > 0 && !repeatable) {
          return false;
        }
      } else if (
        this.#returned !== -constants.errno.EINTR ||
        ++interrupted === interruptedAttempts
      ) {
        return false;
      }
    }
    return false;
  }

  #refusal(call: Hypercall, vp: number | undefined, done: number, total: number): MshvError {
    const returned = this.#returned;
    const status = this.#status;
    const what = vp === undefined ? call.attempt : `${call.attempt} ${vp}`;
    const code = returned === 0 ? 'ERR_MSHV_NO_PROGRESS' : errnoCode(returned);
    const progress = total > 1 ? ` after ${done} of ${total}` : '';
    const statusName = hvStatusName(status) ?? `HV_STATUS_0x${status.toString(16)}`;
    return new MshvError(
      `cannot ${what}${progress}: ${code} (MSHV_ROOT_HVCALL, ${call.name}): ${reason(returned, status, statusName)}`,
      {
        code,
        ...(returned === 0 ? {} : { errno: returned }),
        syscall: 'ioctl',
        ioctl: 'MSHV_ROOT_HVCALL',
        hypercall: call.name,
        ...(status === hvStatusCodes.HV_STATUS_SUCCESS
          ? {}
          : { hvStatus: { code: status, name: statusName } }),
        ...(total > 0 ? { repsCompleted: done } : {}),
      },
    );
  }
}

/** The pages of this environment. */
export const hypercallPages = new HypercallPages();

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
