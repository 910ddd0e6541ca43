import { constants } from 'node:os';

import { vpArgument } from '../abi/arguments.js';
import { instanceArgument, rangeError } from '../arguments.js';
import { type Partition, partitionBrand } from '../device/partition.js';
import { closedError, systemError } from '../errors.js';
import { simNative, type SimNative } from './sim-native.js';
import { readList, type DriverList, type ListWords } from './driver-state.js';
import { RecordedInterrupts } from './recorded-interrupts.js';
import type { CheckedSimulatorOptions } from './simulator-options.js';

/** The machine behind a `Simulator`, as the addon has it: which partitions are its own, and what it refused. */
export class SimulatedMachine {
  readonly native: SimNative;
  readonly id: number;
  #closed = false;
  readonly #interrupts = new WeakMap<Partition, RecordedInterrupts>();

  constructor(options: CheckedSimulatorOptions) {
    this.native = simNative();
    this.id = this.native.simCreate(
      options.scheduler,
      options.fastInjection,
      options.driver,
      options.registerPage,
      options.deposits,
      options.architecture,
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Nothing below works from now on. */
  close(): void {
    this.#closed = true;
  }

  usable(): void {
    if (this.#closed) {
      throw closedError('Simulator');
    }
  }

  /** The descriptor of a partition of this simulator. */
  fdOf(partition: Partition): number {
    this.usable();
    instanceArgument('partition', partition, partitionBrand);
    const { fd } = partition;
    if (this.native.simOf(fd) !== this.id) {
      throw rangeError('partition', 'a partition of this simulator', partition);
    }
    return fd;
  }

  /** The descriptor of a partition, asked for again at each use, that has the VP. */
  fdOfVp(partition: Partition, vp: number): () => number {
    const fd = this.fdOf(partition);
    vp = vpArgument('vp', vp);
    if (this.native.simPendingSteps(fd, vp) === -constants.errno.EINVAL) {
      throw noVp(vp);
    }
    return () => this.fdOf(partition);
  }

  /** What nobody has taken of what the partition's guest got. */
  interruptsOf(partition: Partition): RecordedInterrupts {
    this.fdOf(partition);
    let recorded = this.#interrupts.get(partition);
    if (recorded === undefined) {
      recorded = new RecordedInterrupts({
        native: this.native,
        fd: () => this.fdOf(partition),
        isGone: () => this.#closed || partition.closed,
        checked: (attempt, result) => this.checked(attempt, result),
      });
      this.#interrupts.set(partition, recorded);
    }
    return recorded;
  }

  list<Value, Words extends ListWords>(
    partition: Partition,
    list: DriverList<Value, Words>,
  ): Value[] {
    const fd = this.fdOf(partition);
    return readList(list, (out) => this.checked(list.attempt, list.copy(this.native, fd, out)));
  }

  /** Has the guest read or write memory. */
  access(what: 'read' | 'write', partition: number, gpa: bigint, bytes: Uint8Array): void {
    const result = this.native.simGuestAccess(partition, gpa, bytes, what === 'write');
    const reasons = new Map([
      [-constants.errno.ENXIO, 'no memory is mapped there'],
      [-constants.errno.EACCES, `the guest may not ${what} there, or not until it is paged in`],
    ]);
    this.checked(`${what} guest memory at 0x${gpa.toString(16)}`, result, reasons.get(result));
  }

  /** What would have crashed the real host by now. */
  get oops(): string | undefined {
    this.usable();
    const text = this.native.simOops(this.id);
    // The environment that made the machine may have ended: one that is gone has had none.
    return typeof text === 'number' || text === '' ? undefined : text;
  }

  /** What the addon returned, unless it is an errno. */
  checked(attempt: string, result: number, hint?: string): number {
    if (result < 0) {
      throw systemError(attempt, result, { syscall: 'simulator' }, hint ?? this.oops);
    }
    return result;
  }
}

export function noVp(vp: number): Error {
  return rangeError('vp', 'a VP that the partition has', vp);
}
