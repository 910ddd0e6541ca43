import type { AsyncResource } from 'node:async_hooks';

import { stringArgument } from '../arguments.js';
import { MshvError } from '../errors.js';
import { createHandle, type Handle } from '../handle.js';
import {
  boolean,
  defaulting,
  integer,
  takeOptions,
  unchecked,
  type OptionTable,
} from '../options.js';
import { implementationArgument } from './arguments.js';

/** The input of a hypercall, checked as far as its definition goes. Valid during `handle` only. */
export interface HypercallCall {
  /** The caller. */
  readonly vpIndex: number;
  /** The caller's virtual trust level. */
  readonly vtl: number;
  /** Whether the input came in registers. */
  readonly isFast: boolean;
  /** The input, beginning with its fixed part; what is behind `inputSize` is not the guest's. */
  readonly input: DataView;
  /** How many bytes of input there are: the fixed part, the variable header, the list. */
  readonly inputSize: number;
  /** The variable header's bytes, which follow the fixed part. */
  readonly variableHeaderSize: number;
  /**
   * Where the guest wants the output; a handler that has some writes it itself, with
   * `partition.writeMemory(outputGpa, …, { asGuest: true })`: the address is anything that the guest likes.
   */
  readonly outputGpa: bigint;
  /** How many elements the list of a rep call has; 0 in a simple call. */
  readonly repCount: number;
  /** The element to begin with. */
  readonly repStart: number;
  /**
   * How many elements are done, `repStart` included: for the handler of a rep call to say where it does not
   * return `HV_STATUS_SUCCESS`.
   */
  repsCompleted: number;
}

/** A hypercall that a dispatcher answers. */
export interface HypercallDefinition {
  /** 0 to 0xffff. */
  readonly code: number;
  /** What errors call it. */
  readonly name: string;
  /** Bytes of the fixed input: 0 to 4096. */
  readonly inputSize: number;
  /** Whether a variable header may follow the fixed input. Default false. */
  readonly variableHeader?: boolean;
  /** Makes it a rep call: bytes of an element of its list, 0 where the call has none but a count. */
  readonly repInputSize?: number;
  /**
   * Does what the guest asked for, before the VP goes on: it cannot answer later. What it throws is reported, and the
   * guest gets `HV_STATUS_OPERATION_FAILED`.
   *
   * @returns the HV status: 0 to 0xffff
   */
  handle(call: HypercallCall): number;
}

const inputSize = integer(0, 4096);

const definitionTable = {
  code: integer(0, 0xffff),
  name: stringArgument,
  inputSize,
  variableHeader: boolean(false),
  repInputSize: defaulting(inputSize, 0),
  // A method: it stays where it is.
  handle: unchecked<HypercallDefinition['handle']>,
} satisfies OptionTable<HypercallDefinition>;

/** A hypercall, and where somebody else than this library answers it, the async context in which that was given. */
export interface HypercallEntry {
  readonly definition: HypercallDefinition;
  readonly context: AsyncResource | undefined;
}

/** The hypercalls that a dispatcher answers, by code. */
export class HypercallTable {
  readonly #entries = new Map<number, HypercallEntry>();

  get size(): number {
    return this.#entries.size;
  }

  get(code: number): HypercallEntry | undefined {
    return this.#entries.get(code);
  }

  /**
   * Adds a call.
   *
   * @returns removes it; harmless a second time
   * @throws MshvError `ERR_MSHV_HYPERCALL_IN_USE` where its code has a definition
   */
  add(definition: HypercallDefinition, context?: AsyncResource): Handle {
    const { code } = takeOptions('definition', definition, definitionTable);
    implementationArgument('definition', definition, ['handle']);
    const present = this.#entries.get(code)?.definition;
    if (present !== undefined) {
      throw new MshvError(`hypercall 0x${code.toString(16)} is ${present.name} already`, {
        code: 'ERR_MSHV_HYPERCALL_IN_USE',
      });
    }
    const entry = { definition, context };
    this.#entries.set(code, entry);
    return createHandle(`the definition of hypercall 0x${code.toString(16)}`, {
      isOpen: () => this.#entries.get(code) === entry,
      end: () => this.#entries.delete(code),
    });
  }
}
