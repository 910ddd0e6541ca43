import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import {
  GuestMemory,
  Mshv,
  type MappedMemory,
  type Partition,
  type PartitionOptions,
  type Vp,
} from '../../lib/index.js';
import {
  DeviceGuestMemory,
  gdt,
  guestMemorySize,
  loadAddress,
  mailbox,
  pageTables,
  stackEnd,
} from './device-guest-memory.js';

// This module may be a compiled one, somewhere else in the project.
const project = dirname(createRequire(import.meta.url).resolve('mshv/package.json'));
const guest = join(project, 'lab/build/device-guest.bin');

const data = { base: 0n, limit: 0xffffffff, selector: 0x10, attributes: 0xc093 };

/** A partition with lab/device-guest.S in its memory. */
export class DeviceGuest implements Disposable {
  readonly device = Mshv.open();
  readonly partition: Partition;
  readonly memory: GuestMemory;
  readonly mapping: MappedMemory;
  readonly view: DeviceGuestMemory;
  readonly vps: readonly Vp[];

  constructor(vps = 1, options: PartitionOptions = {}) {
    this.partition = this.device.createPartition(options);
    this.partition.initialize();
    this.memory = GuestMemory.allocate(guestMemorySize, { shared: true });
    this.mapping = this.partition.mapMemory(this.memory, { gpa: 0, size: guestMemorySize });
    this.view = new DeviceGuestMemory(this.memory.buffer);
    this.view.load(readFileSync(guest));
    this.vps = Array.from({ length: vps }, (_, index) => this.partition.createVp(index));
    for (const vp of this.vps) this.enterLongMode(vp);
  }

  vp(index: number): Vp {
    const vp = this.vps[index];
    if (vp === undefined) throw new RangeError(`the guest has no VP ${index}`);
    return vp;
  }

  /** Puts a VP, whatever it was doing, at the guest's first instruction. */
  enterLongMode(vp: Vp): void {
    vp.setRegisters({
      CR0: 0x80000011,
      CR3: pageTables,
      CR4: 0x620,
      EFER: 0xd00,
      CS: { base: 0, limit: 0xffffffff, selector: 0x08, attributes: 0xa09b },
      SS: data,
      DS: data,
      ES: data,
      FS: data,
      GS: { ...data, base: mailbox(vp.index) },
      TR: { base: 0, limit: 0xffff, selector: 0x18, attributes: 0x008b },
      GDTR: { base: gdt, limit: 23 },
      IDTR: { base: 0, limit: 0 },
      RSP: stackEnd(vp.index),
      RFLAGS: 2,
      RIP: loadAddress,
    });
  }

  [Symbol.dispose](): void {
    this.device.close();
    this.memory.close();
  }
}
