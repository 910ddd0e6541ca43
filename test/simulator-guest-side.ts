import { messageLayout } from '../lib/abi/message-types.js';
import { synicLimits } from '../lib/abi/synic.js';
import { x64Registers } from '../lib/abi/x64-registers.js';
import type { Mshv, Partition, PartitionOptions } from '../lib/index.js';
import { simNative } from '../lib/sim/sim-native.js';
import {
  Simulator,
  type AccessSize,
  type SimulatedIoctl,
  type SimulatorOptions,
} from '../lib/sim/index.js';
import {
  delivery,
  newPartition,
  seenInterrupt,
  type Delivery,
  type DriverState,
  type GuestSide,
  type SeenEvent,
  type SeenInterrupt,
  type SeenMessage,
} from './guest-side.js';

const { EOM, SCONTROL, SIEFP, SIMP } = x64Registers;
const { slot, sints } = synicLimits;

/** The simulated driver. */
export class SimulatorGuestSide implements GuestSide {
  readonly backend = 'simulator';
  readonly native = simNative();
  readonly simulator: Simulator;
  readonly device: Mshv;
  readonly fastInjection: boolean;

  constructor(options: SimulatorOptions = {}) {
    this.fastInjection = options.fastInjection === true;
    this.simulator = new Simulator(options);
    this.device = this.simulator.open();
  }

  createPartition(vps?: number, options?: PartitionOptions): Partition {
    return newPartition(this.device, vps, options);
  }

  interrupts(partition: Partition): SeenInterrupt[] {
    return this.simulator.interrupts(partition).map(seenInterrupt);
  }

  deliveries(partition: Partition): Delivery[] {
    return this.simulator.interrupts(partition).map(delivery);
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

  takeMessage(partition: Partition, vp: number, sint: number): SeenMessage | undefined {
    const page = synicPage(partition, vp, SIMP);
    const at = page + BigInt(slot * sint);
    const message = this.simulator.readMemory(partition, at, slot);
    const view = new DataView(message.buffer, message.byteOffset);
    const type = view.getUint32(messageLayout.type, true);
    const isPending = (view.getUint8(messageLayout.flags) & 1) !== 0;
    if (type === 0) return undefined;
    this.simulator.writeMemory(partition, at, new Uint8Array(4));
    if (isPending) {
      partition.setRegisters(vp, Uint32Array.of(EOM), new BigUint64Array(2));
    }
    const size = view.getUint8(messageLayout.payloadSize);
    const { payload } = messageLayout;
    return { type, size, head: message.slice(payload, payload + Math.min(size, 32)) };
  }

  takeEvents(partition: Partition, vp: number): SeenEvent[] {
    const page = synicPage(partition, vp, SIEFP);
    const flags = this.simulator.readMemory(partition, page, sints * slot);
    this.simulator.writeMemory(partition, page, new Uint8Array(sints * slot));
    const events: SeenEvent[] = [];
    flags.forEach((byte, i) => {
      for (let bit = 0; bit < 8; bit++) {
        const isSet = (byte & (1 << bit)) !== 0;
        if (isSet) events.push({ sint: Math.floor(i / slot), flag: 8 * (i % slot) + bit });
      }
    });
    return events;
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

/** Where the guest has a page of a VP's SynIC. */
function synicPage(partition: Partition, vp: number, name: number): bigint {
  const [control = 0n, , value = 0n] = partition.getRegisters(vp, Uint32Array.of(SCONTROL, name));
  if ((control & value & 1n) === 0n) throw new Error(`the SynIC of VP ${vp} is disabled`);
  return value & ~0xfffn;
}
