import { AsyncResource } from 'node:async_hooks';
import { inspect, type InspectOptions } from 'node:util';

import { hvStatusCodes } from '../abi/hv-status.js';
import { hypercallControl } from '../abi/synic.js';
import { functionArgument } from '../arguments.js';
import { MshvError } from '../errors.js';
import type { Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { lastingBytes } from '../lasting-bytes.js';
import { instance, optional, takeOptions, type OptionTable } from '../options.js';
import { synchronous } from '../thenable.js';
import { implementation, implementationArgument } from './arguments.js';
import {
  failuresOption,
  reasonOf,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import type { GuestHypercall, HypercallMemory } from './guest-hypercall.js';
import type { HypercallCompletion } from './hypercall-completion.js';
import {
  HypercallTable,
  type HypercallCall,
  type HypercallDefinition,
  type HypercallEntry,
} from './hypercall-table.js';
import { postMessageCall } from './post-message-call.js';
import { retargetInterruptCall, type RetargetInterruptHandler } from './retarget-interrupt-call.js';
import { signalEventCall } from './signal-event-call.js';
import { type SynicPortMap, synicPortMapBrand } from './synic-port-map.js';

/** What answers a guest's hypercalls, and what is told of failures. */
export interface HypercallDispatcherOptions {
  /** Where messages and events go. */
  portMap: SynicPortMap;
  /** The guest's memory, where the input of slow calls is. */
  memory: HypercallMemory;
  /** Answers `HvRetargetDeviceInterrupt`. Default: it is `HV_STATUS_INVALID_HYPERCALL_CODE`. */
  retargetDeviceInterrupt?: RetargetInterruptHandler;
  /**
   * Is told of what handlers throw: `ERR_MSHV_HYPERCALL_HANDLER`, with that as its `cause`. Default: the
   * first failure of each call is a process warning.
   */
  onError?: FailureListener | FailureReports;
}

const dispatcherOptions = {
  portMap: instance(synicPortMapBrand),
  memory: implementation<HypercallMemory>(['read']),
  retargetDeviceInterrupt: optional<RetargetInterruptHandler, RetargetInterruptHandler>(
    functionArgument,
  ),
  onError: failuresOption,
} satisfies OptionTable<HypercallDispatcherOptions>;

const pageSize = 4096;
/** How many bytes of input a fast call of x64 has registers for: TLFS, "Hypercall Calling Conventions". */
const fastInput64 = 112;
const fastInput32 = 16;

const hypercallMethods = ['copyFastInput'] as const;

/** What one call in progress needs, made once. */
class Scratch implements HypercallCall {
  /** Handlers have it as `input`, and cannot take it away. */
  readonly bytes = lastingBytes(pageSize);
  readonly input = new DataView(this.bytes.buffer);
  readonly completion = { status: 0, repsCompleted: 0 };
  readonly #parts = new Map<number, Uint8Array>();
  vpIndex = 0;
  vtl = 0;
  isFast = false;
  inputSize = 0;
  variableHeaderSize = 0;
  repCount = 0;
  repStart = 0;
  repsCompleted = 0;
  hypercall: GuestHypercall | undefined;

  get outputGpa(): bigint {
    return this.hypercall?.outputGpa ?? 0n;
  }

  /** The first bytes: the same view each time for inputs of the same size. */
  part(size: number): Uint8Array {
    let part = this.#parts.get(size);
    if (part === undefined) {
      part = this.bytes.subarray(0, size);
      this.#parts.set(size, part);
    }
    return part;
  }
}

/**
 * Answers the hypercalls that the hypervisor leaves to the VMM: finds the call's definition, gets and checks
 * its input as the TLFS says, and completes it.
 *
 * | status | where |
 * |---|---|
 * | `HV_STATUS_INVALID_HYPERCALL_CODE` | nobody has defined the call |
 * | `HV_STATUS_INVALID_HYPERCALL_INPUT` | the control word has reserved bits, reps of a simple call, none of a rep call, a start that is not below the count, or a variable header where none may be; a fast input that the registers do not hold, an input longer than a page |
 * | `HV_STATUS_INVALID_ALIGNMENT` | the input is not aligned to 8 bytes, spans pages, or is where the guest has no memory |
 * | `HV_STATUS_OPERATION_FAILED` | the handler, or the memory, threw |
 * | any other | the handler's |
 *
 * `HvPostMessage` (0x5c), `HvSignalEvent` (0x5d) and, with a handler, `HvRetargetDeviceInterrupt` (0x7e) are
 * defined from the start. A fast `HvSignalEvent` allocates nothing.
 *
 * @example
 * ```ts
 * import { hvStatusCodes, PartitionSynic } from 'mshv';
 *
 * using synic = new PartitionSynic(partition);
 * synic.installIntercepts();
 * using own = synic.hypercalls.add({
 *   code: 0xf001,
 *   name: 'MY_CALL',
 *   inputSize: 8,
 *   handle: ({ input }) => {
 *     console.log(input.getBigUint64(0, true)); // 7n
 *     return hvStatusCodes.HV_STATUS_SUCCESS;
 *   },
 * });
 * guest.hypercall(0xf001n | (1n << 16n), 7n);
 * const exit = vp.run();
 * console.log(exit && synic.handleExit(vp, exit)); // true
 * ```
 */
export class HypercallDispatcher {
  readonly #table = new HypercallTable();
  readonly #memory: HypercallMemory;
  readonly #failures: Failures;
  // More than one is in use only where a handler dispatches.
  readonly #free: Scratch[] = [new Scratch()];

  constructor(options: HypercallDispatcherOptions) {
    const checked = takeOptions('options', options, dispatcherOptions);
    const { portMap, retargetDeviceInterrupt } = checked;
    this.#memory = checked.memory;
    this.#failures = checked.onError;
    this.#table.add(postMessageCall(portMap));
    this.#table.add(signalEventCall(portMap));
    if (retargetDeviceInterrupt !== undefined) {
      this.#table.add(retargetInterruptCall(retargetDeviceInterrupt), callerContext());
    }
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('HypercallDispatcher', { calls: this.#table.size }, depth, options);
  }

  /**
   * Adds a call.
   *
   * @returns removes it; harmless a second time
   * @throws MshvError `ERR_MSHV_HYPERCALL_IN_USE` where its code has a definition
   *
   * @example
   * ```ts
   * import { hvStatusCodes, PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using own = synic.hypercalls.add({
   *   code: 0xf001,
   *   name: 'MY_CALL',
   *   inputSize: 8,
   *   handle: () => hvStatusCodes.HV_STATUS_SUCCESS,
   * });
   * console.log(own.closed); // false
   * ```
   */
  add(definition: HypercallDefinition): Handle {
    return this.#table.add(definition, callerContext());
  }

  /**
   * Answers a hypercall. Changes no register: the VP must not run on before `vp.completeHypercall` has.
   *
   * @param hypercall - borrowed, with whatever message is behind it
   * @returns valid until the next call
   */
  dispatch(hypercall: GuestHypercall): HypercallCompletion {
    implementationArgument('hypercall', hypercall, hypercallMethods);
    const scratch = this.#free.pop() ?? new Scratch();
    try {
      const entry = this.#table.get(hypercall.controlLow & hypercallControl.codeMask);
      if (entry === undefined) {
        return complete(scratch, hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_CODE, 0);
      }
      const refused = this.#read(scratch, entry.definition, hypercall);
      if (refused !== hvStatusCodes.HV_STATUS_SUCCESS) {
        return complete(scratch, refused, scratch.repStart);
      }
      const status = this.#handle(entry, scratch);
      const done =
        status === hvStatusCodes.HV_STATUS_SUCCESS ? scratch.repCount : scratch.repsCompleted;
      return complete(scratch, status, done);
    } finally {
      scratch.hypercall = undefined;
      this.#free.push(scratch);
    }
  }

  /** Gets the input, and returns what is wrong with it. */
  #read(scratch: Scratch, definition: HypercallDefinition, hypercall: GuestHypercall): number {
    const { controlLow: low, controlHigh: high } = hypercall;
    const fastInputSize = Math.min(
      hypercall.fastInputSize ?? (hypercall.is64Bit ? fastInput64 : fastInput32),
      pageSize,
    );
    const { inputSize, variableHeader, repInputSize } = definition;
    const repCount = high & hypercallControl.repCountMask;
    const repStart = (high >>> hypercallControl.repStartShift) & hypercallControl.repStartMask;
    const headerSize =
      8 * ((low >>> hypercallControl.variableHeaderShift) & hypercallControl.variableHeaderMask);
    scratch.hypercall = hypercall;
    scratch.vpIndex = hypercall.vpIndex;
    scratch.vtl = hypercall.vtl;
    scratch.isFast = (low & hypercallControl.fast) !== 0;
    scratch.variableHeaderSize = headerSize;
    scratch.repCount = repCount;
    scratch.repStart = 0;
    scratch.repsCompleted = 0;
    scratch.inputSize = inputSize + headerSize + (repInputSize ?? 0) * repCount;
    const repsAreRight =
      repInputSize === undefined ? repCount === 0 && repStart === 0 : repStart < repCount;
    const padded = (scratch.inputSize + 7) & ~7;
    if (
      (low & hypercallControl.reservedLow) !== 0 ||
      (high & hypercallControl.reservedHigh) !== 0 ||
      (headerSize !== 0 && variableHeader !== true) ||
      !repsAreRight ||
      padded > (scratch.isFast ? fastInputSize : pageSize)
    ) {
      return hvStatusCodes.HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    scratch.repStart = repStart;
    scratch.repsCompleted = repStart;
    if (scratch.isFast) {
      hypercall.copyFastInput(scratch.input, padded);
      return hvStatusCodes.HV_STATUS_SUCCESS;
    }
    if (padded === 0) {
      return hvStatusCodes.HV_STATUS_SUCCESS;
    }
    const { inputGpa } = hypercall;
    const inPage = Number(inputGpa & 0xfffn);
    try {
      const isReadable =
        inPage % 8 === 0 &&
        inPage + padded <= pageSize &&
        synchronous('read() of the memory', this.#memory.read(inputGpa, scratch.part(padded)));
      return isReadable
        ? hvStatusCodes.HV_STATUS_SUCCESS
        : hvStatusCodes.HV_STATUS_INVALID_ALIGNMENT;
    } catch (cause) {
      this.#report(definition, cause);
      return hvStatusCodes.HV_STATUS_OPERATION_FAILED;
    }
  }

  #handle({ definition, context }: HypercallEntry, scratch: Scratch): number {
    try {
      const status: unknown = synchronous(
        'its handler',
        context === undefined
          ? definition.handle(scratch)
          : // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
            context.runInAsyncScope(definition.handle, definition, scratch),
      );
      const { repsCompleted } = scratch;
      if (typeof status !== 'number' || !isBetween(status, 0, 0xffff) || !hasRightReps(scratch)) {
        scratch.repsCompleted = scratch.repStart;
        throw new RangeError(
          `its handler returned status ${String(status)} with ${String(repsCompleted)} reps done`,
        );
      }
      return status;
    } catch (cause) {
      // It may have thrown with anything there.
      if (!hasRightReps(scratch)) {
        scratch.repsCompleted = scratch.repStart;
      }
      this.#report(definition, cause);
      return hvStatusCodes.HV_STATUS_OPERATION_FAILED;
    }
  }

  #report(definition: HypercallDefinition, cause: unknown): void {
    this.#failures.report(
      definition,
      () =>
        new MshvError(`hypercall ${definition.name} failed: ${reasonOf(cause)}`, {
          code: 'ERR_MSHV_HYPERCALL_HANDLER',
          cause,
        }),
    );
  }
}

const callerContext = (): AsyncResource => new AsyncResource('MSHV_HYPERCALL');

function complete(
  { completion }: Scratch,
  status: number,
  repsCompleted: number,
): HypercallCompletion {
  completion.status = status;
  completion.repsCompleted = repsCompleted;
  return completion;
}

function hasRightReps({ repsCompleted, repStart, repCount }: Scratch): boolean {
  return isBetween(repsCompleted, repStart, repCount);
}

function isBetween(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
