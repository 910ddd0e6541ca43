import { readFileSync } from 'node:fs';

import { FakeHypervisor } from '../../lab/fakehv.js';
import { linuxNative, type Native } from '../../lib/native.js';
import { simNative, type SimNative } from '../../lib/sim/sim-native.js';
import { decodeInterrupt, interruptWords } from '../../lib/sim/guest-interrupt.js';
import { Simulator, type SimulatorOptions } from '../../lib/sim/index.js';
import type { Delivery } from '../guest-side.js';

/** A partition by its descriptor, and by the name that its hypervisor has for it. */
export interface Named {
  readonly fd: number;
  readonly id: number;
}

const none: readonly never[] = [];

/** A driver and what is on its other side, without a check or an object in between. */
export interface Machine extends Disposable {
  readonly native: Native;
  /** The path of its device. */
  readonly path: string;
  /** The hypervisor's name for the partition that was created last. */
  newest(): number;
  /** Takes the interrupts of each of the partitions, oldest first. */
  interrupts(partitions: readonly (Named | undefined)[]): (readonly Delivery[])[];
  /** These return 0 or a negative errno, or what they read. */
  queueMessage(partition: Named, vp: number, message: Uint8Array): number;
  read(partition: Named, gpa: bigint, length: number): Uint8Array | number;
  write(partition: Named, gpa: bigint, bytes: Uint8Array): number;
  /** Whether a doorbell rang. */
  writeMmio(partition: Named, gpa: bigint, size: number, value: bigint): boolean;
  endOfInterrupt(partition: Named, vp: number, vector: number): void;
  refuse(code: number, status: number, count: number): void;
}

/** The errno of what an action throws, negative. */
function attempt<Result>(action: () => Result): Result | number {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
      return error.errno;
    }
    throw error;
  }
}

/** The real driver on the lab's hypervisor. */
export class LabMachine implements Machine {
  readonly native = linuxNative();
  readonly path = '/dev/mshv';
  readonly hypervisor = new FakeHypervisor();

  newest(): number {
    return this.hypervisor.newestPartition();
  }

  interrupts(partitions: readonly (Named | undefined)[]): (readonly Delivery[])[] {
    const all = this.hypervisor.allInterrupts();
    return partitions.map((partition) => all.get(partition?.id ?? 0) ?? none);
  }

  queueMessage({ id }: Named, vp: number, message: Uint8Array): number {
    this.hypervisor.queueIntercept(id, vp, message);
    return 0;
  }

  read({ id }: Named, gpa: bigint, length: number): Uint8Array | number {
    return attempt(() => this.hypervisor.readMemory(id, gpa, length));
  }

  write({ id }: Named, gpa: bigint, bytes: Uint8Array): number {
    return (
      attempt(() => {
        this.hypervisor.writeMemory(id, gpa, bytes);
      }) ?? 0
    );
  }

  writeMmio({ id }: Named, gpa: bigint, size: number, value: bigint): boolean {
    return this.hypervisor.writeMmio(id, gpa, size, value);
  }

  endOfInterrupt({ id }: Named, vp: number, vector: number): void {
    this.hypervisor.endOfInterrupt(id, vp, vector);
  }

  refuse(code: number, status: number, count: number): void {
    this.hypervisor.inject(code, status, count);
  }

  [Symbol.dispose](): void {
    this.hypervisor.close();
  }
}

/** The simulated one. */
export class SimulatedMachine implements Machine {
  readonly native: SimNative = simNative();
  readonly simulator: Simulator;
  readonly #words = new BigUint64Array(64 * interruptWords);

  constructor(options: SimulatorOptions) {
    this.simulator = new Simulator(options);
  }

  get path(): string {
    return this.simulator.path;
  }

  newest(): number {
    return 0;
  }

  interrupts(partitions: readonly (Named | undefined)[]): (readonly Delivery[])[] {
    return partitions.map((partition) => (partition === undefined ? none : this.#take(partition)));
  }

  #take({ fd }: Named): readonly Delivery[] {
    let taken: Delivery[] | undefined;
    let count;
    do {
      count = this.native.simInterrupts(fd, this.#words);
      for (let i = 0; i < count; i++) {
        (taken ??= []).push(decodeInterrupt(this.#words, i * interruptWords));
      }
    } while (count * interruptWords === this.#words.length);
    return taken ?? none;
  }

  queueMessage({ fd }: Named, vp: number, message: Uint8Array): number {
    return this.native.simQueueMessage(fd, vp, message);
  }

  read({ fd }: Named, gpa: bigint, length: number): Uint8Array | number {
    const bytes = new Uint8Array(length);
    const error = this.native.simGuestAccess(fd, gpa, bytes, false);
    return error < 0 ? error : bytes;
  }

  write({ fd }: Named, gpa: bigint, bytes: Uint8Array): number {
    return this.native.simGuestAccess(fd, gpa, bytes, true);
  }

  writeMmio({ fd }: Named, gpa: bigint, size: number, value: bigint): boolean {
    return this.native.simWriteMmio(fd, gpa, size, value) > 0;
  }

  endOfInterrupt({ fd }: Named, vp: number, vector: number): void {
    this.native.simEndOfInterrupt(fd, vp, vector);
  }

  refuse(hypercall: number, status: number, count: number): void {
    this.simulator.refuse({ hypercall, status, count });
  }

  [Symbol.dispose](): void {
    this.simulator.close();
  }
}

/** A simulator of what the lab has: the scheduler of this VM, and pages of registers that never become valid. */
export function simulatedLab(): SimulatedMachine {
  const root = readFileSync('/proc/cmdline', 'latin1').includes('fakehv.sched=4');
  return new SimulatedMachine({ registerPage: false, scheduler: root ? 'root' : 'hypervisor' });
}

/** What can be compared of an interrupt, as numbers. */
export function interruptNumbers(interrupt: Delivery): number[] {
  const { vector, destination, type, level, logical, vp = -1 } = interrupt;
  return [vector, destination, type, level ? 1 : 0, logical ? 1 : 0, vp];
}
