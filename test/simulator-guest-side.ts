import type { Mshv, Partition, PartitionOptions } from '../lib/index.js';
import { systemError } from '../lib/errors.js';
import { simNative } from '../lib/native.js';
import { Simulator, type SimulatedIoctl } from '../lib/sim/index.js';
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
  readonly simulator = new Simulator();
  readonly device: Mshv = this.simulator.open();

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
    checked('queue a message', this.native.simQueueMessage(partition.fd, vp, message));
  }

  readMemory(partition: Partition, gpa: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    checked('read guest memory', this.native.simGuestAccess(partition.fd, gpa, bytes, false));
    return bytes;
  }

  writeMemory(partition: Partition, gpa: bigint, bytes: Uint8Array): void {
    checked('write guest memory', this.native.simGuestAccess(partition.fd, gpa, bytes, true));
  }

  writeMmio(partition: Partition, gpa: bigint, size: number, value: bigint): boolean {
    return checked('write MMIO', this.native.simWriteMmio(partition.fd, gpa, size, value)) > 0;
  }

  refuse(hypercall: number, status: number, count = 1): void {
    const id = Number(this.simulator.path.replace('sim:', ''));
    checked('refuse hypercalls', this.native.simRefuse(id, hypercall, status, 0, count, 0));
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

function checked(attempt: string, result: number): number {
  if (result < 0) {
    throw systemError(attempt, result, { syscall: 'simulator' });
  }
  return result;
}
