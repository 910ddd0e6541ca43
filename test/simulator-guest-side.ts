import type { Mshv, Partition, PartitionOptions } from '../lib/index.js';
import { simNative } from '../lib/native.js';
import {
  Simulator,
  type AccessSize,
  type SimulatedIoctl,
  type SimulatorOptions,
} from '../lib/sim/index.js';
import {
  newPartition,
  seenInterrupt,
  type DriverState,
  type GuestSide,
  type SeenInterrupt,
} from './guest-side.js';

/** The simulated driver. */
export class SimulatorGuestSide implements GuestSide {
  readonly backend = 'simulator';
  readonly native = simNative();
  readonly simulator: Simulator;
  readonly device: Mshv;

  constructor(options: SimulatorOptions = {}) {
    this.simulator = new Simulator(options);
    this.device = this.simulator.open();
  }

  createPartition(vps?: number, options?: PartitionOptions): Partition {
    return newPartition(this.device, vps, options);
  }

  interrupts(partition: Partition): SeenInterrupt[] {
    return this.simulator.interrupts(partition).map(seenInterrupt);
  }

  endOfInterrupt(partition: Partition, vp: number, vector: number): void {
    this.simulator.endOfInterrupt(partition, vp, vector);
  }

  failNext(ioctl: SimulatedIoctl, errno: number, after: number): void {
    this.simulator.failNext(ioctl, errno, { after, count: 1 });
  }

  failNoMore(): void {
    for (const ioctl of ['MSHV_IRQFD', 'MSHV_SET_MSI_ROUTING'] as const) {
      this.simulator.failNext(ioctl, 'EIO', { count: 0 });
    }
  }

  calls(ioctl: SimulatedIoctl): number {
    return this.simulator.calls(ioctl);
  }

  queueMessage(partition: Partition, vp: number, message: Uint8Array): void {
    this.simulator.queueMessage(partition, vp, message);
  }

  readMemory(partition: Partition, gpa: bigint, length: number): Uint8Array {
    return this.simulator.readMemory(partition, gpa, length);
  }

  writeMemory(partition: Partition, gpa: bigint, bytes: Uint8Array): void {
    this.simulator.writeMemory(partition, gpa, bytes);
  }

  writeMmio(partition: Partition, gpa: bigint, size: AccessSize, value: bigint): boolean {
    return this.simulator.writeMmio(partition, gpa, size, value) > 0;
  }

  refuse(hypercall: number, status: number, count = 1): void {
    this.simulator.refuse({ hypercall, status, count });
  }

  leftovers(): string[] {
    const { oops } = this.simulator;
    return oops === undefined ? [] : [oops];
  }

  driverState(partition: Partition): DriverState {
    return {
      routes: this.simulator.routes(partition),
      armedGsis: this.simulator.irqFds(partition).map(({ gsi }) => gsi),
    };
  }

  [Symbol.dispose](): void {
    this.simulator.close();
  }
}
