import { readFileSync } from 'node:fs';

import { ioctls, type IoctlName } from '../lib/abi/ioctls.js';
import { Mshv, type Partition, type PartitionOptions } from '../lib/index.js';
import { linuxNative, type Native } from '../lib/native.js';
import { DriverTrace } from '../lab/driver-trace.js';
import { FakeHypervisor } from '../lab/fakehv.js';
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
import { LabSynic } from './lab-synic.js';

interface Fault {
  errno: number;
  after: number;
}

/** The real driver on the lab's fake hypervisor. Faults are injected in front of the driver. */
export class LabGuestSide implements GuestSide {
  readonly backend = 'lab';
  readonly native: Native;
  readonly device: Mshv;
  readonly fastInjection: boolean;
  readonly #hypervisor = new FakeHypervisor();
  readonly #trace = new DriverTrace();
  readonly #synic = new LabSynic(this.#hypervisor);
  readonly #ids = new WeakMap<Partition, number>();
  readonly #faults = new Map<IoctlName, Fault>();

  constructor() {
    const native = linuxNative();
    // The VM's CPUID says nothing of the hypervisor inside its kernel.
    const commandLine = readFileSync('/proc/cmdline', 'latin1');
    this.fastInjection =
      commandLine.includes('fakehv.ext_features=0x200') && commandLine.includes('fakehv.sched=4');
    this.native = {
      ...native,
      ...(this.fastInjection ? this.#taking(native) : {}),
      irqfd: (...args) => this.#fault('MSHV_IRQFD') ?? native.irqfd(...args),
      setMsiRouting: (...args) =>
        this.#fault('MSHV_SET_MSI_ROUTING') ?? native.setMsiRouting(...args),
      hypercall: (fd, code, reps, input, ...rest) => {
        this.#synic.before(fd, code, input);
        const returned = native.hypercall(fd, code, reps, input, ...rest);
        this.#synic.after(fd, code, reps, input);
        return returned;
      },
    };
    this.device = Mshv.open({ native: this.native, fastInjection: this.fastInjection });
  }

  createPartition(vps?: number, options?: PartitionOptions): Partition {
    const partition = newPartition(this.device, vps, options);
    const id = this.#hypervisor.newestPartition();
    this.#ids.set(partition, id);
    this.#synic.add(partition, id);
    return partition;
  }

  interrupts(partition: Partition): SeenInterrupt[] {
    return this.deliveries(partition).map(seenInterrupt);
  }

  deliveries(partition: Partition): Delivery[] {
    const interrupts = this.#hypervisor.interrupts(this.#id(partition)).map(delivery);
    // Nobody asks for the rest of the log here: over a long run it would fill the memory.
    this.#hypervisor.events();
    return interrupts;
  }

  endOfInterrupt(partition: Partition, vp: number, vector: number): void {
    this.#hypervisor.endOfInterrupt(this.#id(partition), vp, vector);
  }

  failNext(ioctl: IoctlName, errno: number, after: number): void {
    this.#faults.set(ioctl, { errno, after });
  }

  failNoMore(): void {
    this.#faults.clear();
  }

  calls(ioctl: IoctlName): number {
    return this.#trace.ioctls(ioctls[ioctl]);
  }

  queueMessage(partition: Partition, vp: number, message: Uint8Array): void {
    this.#hypervisor.queueIntercept(this.#id(partition), vp, message);
  }

  readMemory(partition: Partition, gpa: bigint, length: number): Uint8Array {
    return this.#hypervisor.readMemory(this.#id(partition), gpa, length);
  }

  writeMemory(partition: Partition, gpa: bigint, bytes: Uint8Array): void {
    this.#hypervisor.writeMemory(this.#id(partition), gpa, bytes);
  }

  writeMmio(partition: Partition, gpa: bigint, size: number, value: bigint): boolean {
    return this.#hypervisor.writeMmio(this.#id(partition), gpa, size, value);
  }

  takeMessage(partition: Partition, vp: number, sint: number): SeenMessage | undefined {
    return this.#synic.takeMessage(partition, vp, sint);
  }

  takeEvents(partition: Partition, vp: number): SeenEvent[] {
    return this.#synic.takeEvents(partition, vp);
  }

  refuse(hypercall: number, status: number, count = 1): void {
    this.#synic.refuses(hypercall, status, count);
    this.#hypervisor.inject(hypercall, status, count);
  }

  leftovers(): string[] {
    return this.#hypervisor.leftovers();
  }

  driverState(): DriverState | undefined {
    return undefined;
  }

  [Symbol.dispose](): void {
    this.device.close();
    this.#trace.close();
    this.#hypervisor.close();
  }

  /** Signals after which the VPs take what is in their register pages: they do not run, and never would. */
  #taking(native: Native): Pick<Native, 'eventfdSignal' | 'eventfdSignalBounded'> {
    const taking =
      (name: 'eventfdSignal' | 'eventfdSignalBounded') =>
      (...args: [fd: number, n?: bigint]): number => {
        const result = native[name](...args);
        this.#hypervisor.takePageVectors();
        return result;
      };
    return {
      eventfdSignal: taking('eventfdSignal'),
      eventfdSignalBounded: taking('eventfdSignalBounded'),
    };
  }

  #id(partition: Partition): number {
    const id = this.#ids.get(partition);
    if (id === undefined) {
      throw new Error('this partition was not created by the guest side');
    }
    return id;
  }

  #fault(ioctl: IoctlName): number | undefined {
    const fault = this.#faults.get(ioctl);
    if (fault === undefined || fault.after-- > 0) {
      return undefined;
    }
    this.#faults.delete(ioctl);
    return -fault.errno;
  }
}
