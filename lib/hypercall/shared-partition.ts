import { inspect, type InspectOptions } from 'node:util';

import { ours, ownConstructor } from '../arguments.js';
import { closedError } from '../errors.js';
import { inspected } from '../inspection.js';
import { ApicIds } from '../irq/apic-ids.js';
import type { Native } from '../native.js';
import {
  makeToken,
  receivingNative,
  takeOffer,
  tokenArgument,
  type PartitionToken,
  type ReceiveOptions,
} from '../share-token.js';
import { architectureOf } from './architecture-of.js';
import { apicIdsOf, PartitionCalls } from './partition-calls.js';

let own: (native: Native, fd: number, apicIds: ApicIds) => SharedPartition;

/**
 * A partition that another environment of this process opened and shared: `partition.share()`.
 *
 * It can do whatever takes the descriptor only. Routes, doorbells and memory belong to the environment that
 * opened the partition, which knows what the driver has of them. Which VPs there are, and which APIC ids they have, is
 * known in all environments of the process. The partition exists until all of its
 * descriptors are closed, so one that is shared outlives its owner.
 *
 * @example
 * ```ts
 * import { SharedPartition } from 'mshv';
 *
 * using received = SharedPartition.receive(partition.share()); // in a Worker
 * received.requestMsi(0xfee00000, 0x42);
 * console.log(simulator.interrupts(partition)[0]?.vector); // 66
 * ```
 */
export class SharedPartition extends PartitionCalls implements Disposable {
  readonly #native: Native;
  #fd: number;

  private constructor(key: symbol, native: Native, fd: number, apicIds: ApicIds) {
    ownConstructor('SharedPartition', key);
    super(native, architectureOf(native, fd), apicIds.memory);
    this.#native = native;
    this.#fd = fd;
  }

  static {
    own = (...args) => new SharedPartition(ours, ...args);
  }

  /**
   * Takes what `partition.share()` returned, which nobody else can receive then.
   *
   * @throws MshvError `ERR_MSHV_TOKEN_TAKEN` where it was received before, or the environment that made it has ended
   * @throws TypeError `ERR_INVALID_ARG_VALUE` where `native` is not the sender's addon
   *
   * @example
   * ```ts
   * import { SharedPartition } from 'mshv';
   *
   * using received = SharedPartition.receive(partition.share());
   * console.log(received.hasVp(0)); // true
   * ```
   */
  static receive(token: PartitionToken, options: ReceiveOptions = {}): SharedPartition {
    const checked = tokenArgument('partition', token);
    const apicIds = ApicIds.ofToken(token);
    const native = receivingNative(checked, options);
    const [fd = -1] = takeOffer(native, checked);
    return own(native, fd, apicIds);
  }

  /**
   * The descriptor, borrowed.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get fd(): number {
    if (this.#fd < 0) {
      throw closedError('SharedPartition');
    }
    return this.#fd;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Passes it on, like `partition.share()`.
   *
   * @example
   * ```ts
   * import { SharedPartition } from 'mshv';
   *
   * using received = SharedPartition.receive(partition.share());
   * console.log(received.share().type); // mshv-partition
   * ```
   */
  share(): PartitionToken {
    return sharePartition(this.#native, this.fd, apicIdsOf(this));
  }

  /** Closes this environment's descriptor. Harmless where closed already. */
  close(): void {
    const fd = this.#fd;
    if (fd >= 0) {
      this.#fd = -1;
      this.#native.close(fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { closed } = this;
    return inspected(
      'SharedPartition',
      closed ? { closed } : { fd: this.#fd, closed },
      depth,
      options,
    );
  }
}

export { own as ownPartition };

export function sharePartition(native: Native, fd: number, apicIds: ApicIds): PartitionToken {
  const token = makeToken(native, 'partition', 'the partition', [fd]);
  return { ...token, apicIds: apicIds.memory };
}
