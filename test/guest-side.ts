import type { Mshv, Partition, PartitionOptions } from '../lib/index.js';
import type { Native } from '../lib/native.js';
import type { AccessSize, SimulatedIoctl } from '../lib/sim/index.js';
import { insideLab } from './inside-lab.js';

/** An interrupt as the guest's side sees it. */
export interface SeenInterrupt {
  readonly vector: number;
  /** APIC id, or a set of logical ids where `logical`. */
  readonly destination: number;
  /** `HV_X64_INTERRUPT_TYPE_*`: 0 fixed, 1 lowest priority, … */
  readonly type: number;
  readonly level: boolean;
  readonly logical: boolean;
}

/** An interrupt with the VP that it went to; undefined where that is not one by itself. */
export interface Delivery extends SeenInterrupt {
  readonly vp: number | undefined;
}

/** A message as the guest finds it in a SINT's slot. */
export interface SeenMessage {
  readonly type: number;
  /** How many bytes of payload there are. */
  readonly size: number;
  /** The first of them, 32 at most. */
  readonly head: Uint8Array;
}

/** An event flag of a VP that the guest finds set. */
export interface SeenEvent {
  readonly sint: number;
  readonly flag: number;
}

/** What the driver holds of a partition, ascending by GSI. */
export interface DriverState {
  readonly routes: readonly { gsi: number; address: bigint; data: number }[];
  readonly armedGsis: readonly number[];
}

/**
 * The other end of `/dev/mshv`: what a guest would see and do, and the controls of a host. A
 * conformance test is written against `Mshv` and this, and runs unchanged on each backend.
 */
export interface GuestSide extends Disposable {
  readonly backend: 'simulator' | 'lab';
  readonly native: Native;
  readonly device: Mshv;
  /**
   * Whether the driver puts the vector of a physical destination into the VP's register page when an eventfd is
   * signalled, and nothing else. The VPs take it at once, as if each were running.
   */
  readonly fastInjection: boolean;
  /** A partition whose guest's side can be seen, initialized, with VPs 0 to `vps - 1`. */
  createPartition(vps?: number, options?: PartitionOptions): Partition;
  /** Takes the interrupts asserted since the last call, oldest first; every signal sent before counts. */
  interrupts(partition: Partition): SeenInterrupt[];
  /** The same, with the VPs that they went to. */
  deliveries(partition: Partition): Delivery[];
  endOfInterrupt(partition: Partition, vp: number, vector: number): void;
  /** Lets `after` calls pass, then fails one with `errno` before the driver does anything. */
  failNext(ioctl: 'MSHV_IRQFD' | 'MSHV_SET_MSI_ROUTING', errno: number, after: number): void;
  /** Takes back what `failNext` has not used up. */
  failNoMore(): void;
  /** How often the ioctl was issued so far. */
  calls(ioctl: SimulatedIoctl): number;
  /** Queues an intercept message of up to 256 bytes, header included: the VP's run returns it. */
  queueMessage(partition: Partition, vp: number, message: Uint8Array): void;
  /** The guest reads memory; an error with code `ENXIO` where nothing is mapped, `EACCES` where it may not. */
  readMemory(partition: Partition, gpa: bigint, length: number): Uint8Array;
  /** The guest writes memory, likewise. */
  writeMemory(partition: Partition, gpa: bigint, bytes: Uint8Array): void;
  /** The guest writes `size` bytes (1, 2, 4, 8) where no memory is. False where no doorbell matches. */
  writeMmio(partition: Partition, gpa: bigint, size: AccessSize, value: bigint): boolean;
  /**
   * The guest takes the message out of a SINT's slot, where there is one, and writes EOM where another one was
   * refused meanwhile. SCONTROL and SIMP have to be enabled, as for messages to come at all.
   */
  takeMessage(partition: Partition, vp: number, sint: number): SeenMessage | undefined;
  /** The guest takes the event flags of a VP that are set, ascending. SCONTROL and SIEFP have to be enabled. */
  takeEvents(partition: Partition, vp: number): SeenEvent[];
  /** The hypervisor refuses the next `count` hypercalls of a code with a status. */
  refuse(hypercall: number, status: number, count?: number): void;
  /**
   * What partitions that were closed have left behind, in the backend's words; none is expected to exist.
   * The simulator tells only of what would have crashed the host.
   */
  leftovers(): string[];
  /** What the driver holds, where the backend can tell. */
  driverState(partition: Partition): DriverState | undefined;
}

/** A partition as `GuestSide.createPartition` promises it. */
export function newPartition(device: Mshv, vps = 4, options: PartitionOptions = {}): Partition {
  const partition = device.createPartition(options);
  partition.initialize();
  for (let index = 0; index < vps; index++) {
    partition.createVp(index);
  }
  return partition;
}

/** What both backends tell of an interrupt, without what only one of them tells. */
export function seenInterrupt(interrupt: SeenInterrupt): SeenInterrupt {
  const { vector, destination, type, level, logical } = interrupt;
  return { vector, destination, type, level, logical };
}

export function delivery(interrupt: Delivery): Delivery {
  return { ...seenInterrupt(interrupt), vp: interrupt.vp };
}

/**
 * Opens the guest's side of the backend that is here: the lab inside its VM, else the simulator. `MSHV_TEST_FAST_INJECTION=1`
 * lets the simulator inject through register pages; the lab has an option of its own for that.
 */
export async function openGuestSide(): Promise<GuestSide> {
  if (insideLab) {
    const { LabGuestSide } = await import('./lab-guest-side.js');
    return new LabGuestSide();
  }
  const { SimulatorGuestSide } = await import('./simulator-guest-side.js');
  const fastInjection = process.env['MSHV_TEST_FAST_INJECTION'] === '1';
  return new SimulatorGuestSide(fastInjection ? { scheduler: 'root', fastInjection } : {});
}
