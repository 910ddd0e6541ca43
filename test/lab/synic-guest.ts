import { setImmediate } from 'node:timers/promises';

import {
  PartitionSynic,
  SynicPorts,
  type Intercept,
  type MshvError,
  type PartitionSynicOptions,
} from '../../lib/index.js';
import { DeviceGuest } from './device-guest.js';
import { stringBuffer } from './device-guest-memory.js';
import { SynicGuestMemory, synicParts } from './synic-guest-memory.js';
import { StartedVmm, type GuestRunEnd } from './vmm.js';

/** The vector of the interrupts that only wake a VP up. */
export const wakeVector = 0x60;

/** A guest with ports to its SynIC. Each VP's notifications are written through the partition. */
export class SynicGuest extends DeviceGuest {
  /** What nobody could be told of. */
  readonly errors: MshvError[] = [];
  readonly synic: PartitionSynic;
  readonly ports: SynicPorts;
  /** Who writes the notifications of each VP. */
  readonly owners: readonly Disposable[];
  readonly #areas: readonly SynicGuestMemory[];

  constructor(vps = 1, options: PartitionSynicOptions = {}) {
    super(vps);
    this.synic = new PartitionSynic(this.partition, {
      onError: (error) => {
        this.errors.push(error);
      },
      ...options,
    });
    this.ports = new SynicPorts(this.synic);
    this.synic.installIntercepts();
    this.#areas = this.vps.map(({ index }) => new SynicGuestMemory(this.view, index));
    this.owners = this.vps.map(({ index }) => this.synic.attachVp(index));
  }

  /** How many failures there were, told of or counted only: a moment ago, or a second. */
  failures(): number {
    return this.errors.reduce((total, { suppressed = 1 }) => total + suppressed, 0);
  }

  area(vp: number): SynicGuestMemory {
    const area = this.#areas[vp];
    if (area === undefined) throw new RangeError(`the guest has no VP ${vp}`);
    return area;
  }
}

/** Runs one VP of a `SynicGuest` with `vp.start()`. */
export class SynicVmm extends StartedVmm {
  readonly #synic: PartitionSynic;
  readonly area: SynicGuestMemory;
  #receiving: Promise<GuestRunEnd> | undefined;

  constructor(guest: SynicGuest, index: number) {
    super(guest, index);
    this.#synic = guest.synic;
    this.area = guest.area(index);
  }

  /** Runs the guest to where it has given these SINTs their vectors, and asks for work. */
  async boot(sints: readonly number[], parts: number = synicParts.all): Promise<this> {
    if ((await this.run()) !== 'work') throw new Error('the guest did not boot');
    await this.perform({ command: 'interrupts' });
    await this.setUp(sints, parts);
    return this;
  }

  /** Lets the guest write its SynIC's registers. */
  async setUp(sints: readonly number[], parts: number = synicParts.all): Promise<void> {
    const value = sints.reduce((bits, sint) => bits | (1 << sint), 0);
    await this.perform({ command: 'synic', address: parts, value });
  }

  /** Lets the guest take what comes until `finish`. */
  receive(): void {
    this.order({ command: 'receive' });
    this.goOn();
  }

  /** Runs the VP again, after a cancel too. */
  goOn(): void {
    this.#receiving = this.run();
    // It is looked at in `ended`.
    this.#receiving.catch(() => undefined);
  }

  /** How the run that is under way ends. */
  async ended(): Promise<GuestRunEnd> {
    if (this.#receiving === undefined) throw new Error('the VP does not run');
    return this.#receiving;
  }

  async finish(): Promise<void> {
    this.guest.view.stop(this.vp.index);
    this.wake();
    if ((await this.ended()) !== 'work') throw new Error('the run was canceled');
  }

  /** Has the guest look at its slots and flags. */
  wake(): void {
    this.guest.partition.requestInterrupt({ vector: wakeVector, destination: this.vp.index });
  }

  /** Lets the guest hold messages and flags back, of all SINTs, or take them again. */
  hold(holds: boolean): void {
    this.area.hold = holds ? 0xffff : 0;
    if (!holds) this.wake();
  }

  /** Lets the guest make a hypercall, and returns its RAX. */
  async hypercall(control: bigint, inputGpa: bigint | number): Promise<bigint> {
    const { sum } = await this.perform({ command: 'hypercall', address: control, value: inputGpa });
    return sum;
  }

  /** Likewise, with the input in memory, at some offset of a page. */
  async slowHypercall(control: bigint, input: Uint8Array, offset = 0): Promise<bigint> {
    const at = stringBuffer + offset;
    this.guest.view.bytes.set(input, at);
    return this.hypercall(control, at);
  }

  protected override complete(exit: Intercept): boolean {
    return !this.#synic.handleExit(this.vp, exit) && super.complete(exit);
  }
}

/** Runs one VP with `vp.run()` on this thread: for a guest that never waits for the host. */
export class BlockingSynicVmm extends SynicVmm {
  override async run(): Promise<GuestRunEnd> {
    for (;;) {
      const exit = this.vp.run();
      if (exit === undefined) return 'canceled';
      if (this.complete(exit)) return 'work';
      // Handlers answer by promise.
      await setImmediate();
    }
  }
}
