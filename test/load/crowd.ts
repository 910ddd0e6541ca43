import { encodeMessage } from '../../lib/sim/encode-message.js';
import {
  type Doorbell,
  GuestMemory,
  type IrqFdRoute,
  type Partition,
  PartitionSynic,
  SynicPorts,
  type StartedRun,
} from '../../lib/index.js';
import type { GuestSide, SeenInterrupt } from '../guest-side.js';

/** How many there are of each thing. */
export interface CrowdSize {
  readonly partitions: number;
  readonly vps: number;
  readonly routes: number;
  readonly doorbells: number;
  readonly ports: number;
}

/** The most that the driver takes of VPs and routes in one partition, and round numbers of the rest. */
export const largestCrowd: CrowdSize = {
  partitions: 100,
  vps: 256,
  routes: 4095,
  doorbells: 1000,
  ports: 1000,
};

/** A partition with a VP, a route and a doorbell. */
export interface SmallPartition {
  readonly partition: Partition;
  readonly route: IrqFdRoute;
  readonly doorbell: Doorbell;
}

const doorbellBase = 0xd000_0000n;
const [firstVector, vectors] = [16, 240];

/** A partition with as much of everything as it can have, among others with one of each. */
export class Crowd {
  readonly #guest: GuestSide;
  readonly #memory: GuestMemory;
  readonly #synic: PartitionSynic;
  readonly #ports: SynicPorts;
  readonly partition: Partition;
  readonly others: SmallPartition[] = [];
  readonly routes: IrqFdRoute[] = [];
  readonly doorbells: Doorbell[] = [];
  /** How often each doorbell's listener was called, and the counts that it was called with. */
  readonly calls: number[] = [];
  readonly rings: bigint[] = [];
  ports = 0;
  #steps = 0;
  #runs: StartedRun[] = [];

  constructor(guest: GuestSide) {
    const { native } = guest;
    this.#guest = guest;
    this.partition = guest.createPartition(0);
    this.#memory = GuestMemory.allocate(4096, { native });
    this.partition.mapMemory(this.#memory, { gpa: 0 });
    this.#synic = new PartitionSynic(this.partition, { native });
    this.#ports = new SynicPorts(this.#synic);
  }

  /** Others, each with a vector of its own. */
  addPartitions(count: number): void {
    for (let i = 0; i < count; i++) {
      const partition = this.#guest.createPartition(1);
      const route = partition.irqfd.newRoute({ msi: msiOf(interruptOf(this.others.length, 1)) });
      const doorbell = partition.registerDoorbell({ gpa: doorbellBase });
      this.others.push({ partition, route, doorbell });
      this.look();
    }
  }

  /** VPs that each run to their first exit. */
  addVps(count: number): void {
    for (let i = 0; i < count; i++) {
      const vp = this.partition.createVp(this.partition.vps.length);
      this.#guest.queueMessage(this.partition, vp.index, halt(vp.index));
      const exit = vp.run()?.type;
      if (exit !== 'halt') throw new Error(`VP ${vp.index} left with ${exit ?? 'nothing'}`);
      this.look();
    }
  }

  /** Runs all VPs at once, each on a thread of its own, until each has exited once. They run on. */
  async startVps(): Promise<void> {
    const exits = this.partition.vps.map(
      (vp) =>
        new Promise<void>((resolve) => {
          const run = vp.start((exit) => {
            if (exit.type === 'halt') resolve();
          });
          this.#runs.push(run);
        }),
    );
    for (const { index } of this.partition.vps) {
      this.#guest.queueMessage(this.partition, index, halt(index));
      this.look();
    }
    await Promise.all(exits);
  }

  async stopVps(): Promise<void> {
    for (const run of this.#runs) {
      run.stop();
      this.look();
    }
    await Promise.all(this.#runs.map(({ finished }) => finished));
    this.#runs = [];
  }

  addRoutes(count: number): void {
    const { irqfd } = this.partition;
    const made = irqfd.batch(() =>
      Array.from({ length: count }, (_, i) =>
        irqfd.newRoute({ msi: msiOf(this.interrupt(this.routes.length + i)) }),
      ),
    );
    this.routes.push(...made);
  }

  /** What the route number `i` injects. */
  interrupt(i: number): SeenInterrupt {
    return interruptOf(i, this.partition.vps.length);
  }

  /** Doorbells that somebody listens to. */
  addDoorbells(count: number): void {
    for (let i = 0; i < count; i++) {
      const number = this.doorbells.length;
      const doorbell = this.partition.registerDoorbell({ gpa: this.doorbellGpa(number), size: 4 });
      this.calls.push(0);
      this.rings.push(0n);
      doorbell.event.watch((rung) => {
        this.calls[number] = (this.calls[number] ?? 0) + 1;
        this.rings[number] = (this.rings[number] ?? 0n) + rung;
      });
      this.doorbells.push(doorbell);
      this.look();
    }
  }

  doorbellGpa(number: number): bigint {
    return doorbellBase + 0x1000n + 8n * BigInt(number);
  }

  /** A connection of the guest's to the host, and a port for messages to the guest. */
  addPorts(count: number): void {
    for (let i = 0; i < count; i++) {
      const handleEvent = (): void => undefined;
      const vp = this.ports % this.partition.vps.length;
      this.#ports.addEventPort(1 + this.ports, 0, { handleEvent });
      this.#ports.newGuestMessagePort(0, vp, 1 + (this.ports % 15));
      this.ports++;
    }
  }

  ring(doorbell: number): void {
    this.#guest.writeMmio(this.partition, this.doorbellGpa(doorbell), 4, 1n);
    this.look();
  }

  /** After each of a thousand things: the lab's log overflows where nobody looks. No interrupt is due then. */
  look(): void {
    if (++this.#steps % 16 === 0 && this.#guest.interrupts(this.partition).length > 0) {
      throw new Error('there was an interrupt without a signal');
    }
  }

  /** Harmless a second time. */
  close(): void {
    if (this.partition.closed) return;
    for (const { partition } of this.others) {
      partition.close();
      this.look();
    }
    for (const doorbell of this.doorbells) {
      doorbell.close();
      this.look();
    }
    this.partition.close();
    this.#synic[Symbol.dispose]();
    this.#memory.close();
  }
}

/** A walk through all vectors of all VPs. */
function interruptOf(i: number, vps: number): SeenInterrupt {
  const destination = Math.floor(i / vectors) % vps;
  const vector = firstVector + (i % vectors);
  return { vector, destination, type: 0, level: false, logical: false };
}

function msiOf({ vector, destination }: SeenInterrupt): { address: bigint; data: number } {
  return { address: 0xfee00000n | (BigInt(destination) << 12n), data: vector };
}

const halt = (vpIndex: number): Uint8Array => encodeMessage('halt', { vpIndex });
