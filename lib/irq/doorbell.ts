import { inspect, type InspectOptions } from 'node:util';

import { ours, ownConstructor } from '../arguments.js';
import type { IoeventfdSize } from '../abi/ioeventfd.js';
import type { EventFd } from '../eventfd/eventfd.js';
import { hexadecimal, inspected } from '../inspection.js';

/** What the partition's doorbell table has of one doorbell. */
export interface DoorbellState {
  readonly gpa: bigint;
  readonly size: IoeventfdSize;
  readonly match: bigint | undefined;
  readonly event: EventFd;
  readonly name: string | undefined;
  closed: boolean;
}

let create: (state: DoorbellState, close: () => void) => Doorbell;

/**
 * A guest physical address that signals an eventfd: the guest's write there is completed inside the hypervisor
 * and never seen by `MSHV_RUN_VP`. What `partition.registerDoorbell` returns.
 *
 * A write rings every doorbell that it matches, one of any size and one of its own size, say. Writes that come faster
 * than the eventfd is read add up in it. A write that matches none is an intercept.
 *
 * @example
 * ```ts
 * using doorbell = partition.registerDoorbell({ gpa: 0xfe000000, size: 4, match: 1 });
 * simulator.writeMmio(partition, 0xfe000000, 4, 1);
 * console.log(doorbell.event.tryRead()); // 1n
 * ```
 */
export class Doorbell implements Disposable {
  readonly #state: DoorbellState;
  readonly #close: () => void;

  private constructor(key: symbol, state: DoorbellState, close: () => void) {
    ownConstructor('Doorbell', key);
    this.#state = state;
    this.#close = close;
  }

  static {
    create = (state, close) => new Doorbell(ours, state, close);
  }

  /** The eventfd that the guest signals. It belongs to the doorbell and is closed with it. */
  get event(): EventFd {
    return this.#state.event;
  }

  /** The guest physical address that rings it. */
  get gpa(): bigint {
    return this.#state.gpa;
  }

  /** The size of the writes that ring, in bytes; 0 is any. */
  get size(): IoeventfdSize {
    return this.#state.size;
  }

  /** The value of the writes that ring; undefined is any. */
  get match(): bigint | undefined {
    return this.#state.match;
  }

  /** The name that `registerDoorbell` was given. */
  get name(): string | undefined {
    return this.#state.name;
  }

  /** Whether it was taken away, by `close()` or with its partition. */
  get closed(): boolean {
    return this.#state.closed;
  }

  /**
   * Takes the doorbell away and closes the eventfd. The driver waits for nobody: a write that the guest made just
   * before may still add to the counter, which whoever shares it can see. Harmless where closed already.
   *
   * Where the driver refuses, the doorbell stays open and may be closed again. Where it says that there is no such
   * doorbell (`ENOENT`: somebody else took it away), the error is thrown and the doorbell is closed.
   */
  close(): void {
    if (!this.#state.closed) {
      this.#close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { gpa, size, match, closed } = this.#state;
    const value = match === undefined ? 'any' : hexadecimal(match);
    return inspected(
      'Doorbell',
      { gpa: hexadecimal(gpa), size: size === 0 ? 'any' : size, value, closed },
      depth,
      options,
    );
  }
}

export { create as createDoorbell };
