/** The commands of lab/device-guest.S, in the order of its table. */
const commands = [
  'fault',
  'interrupts',
  'out8',
  'out16',
  'out32',
  'in8',
  'in16',
  'in32',
  'rep out8',
  'rep out16',
  'rep out32',
  'rep in8',
  'rep in16',
  'rep in32',
  'write8',
  'write16',
  'write32',
  'write64',
  'read8',
  'read16',
  'read32',
  'read64',
  'wrmsr',
  'rdmsr',
  'cpuid',
  'hypercall',
  'halt',
  'halts',
  'doorbell',
  'wait',
  'ping',
  'share',
  'registers',
  'spin',
  'touch',
  'synic',
  'post',
  'signal fast',
  'signal slow',
  'receive',
] as const;

export type GuestCommand = (typeof commands)[number];

/** What the guest is to do; see lab/device-guest.S for the words. */
export interface GuestOrder {
  readonly command: GuestCommand;
  readonly count?: number;
  readonly address?: number | bigint;
  readonly value?: number | bigint;
}

/** What the guest says about it. */
export interface GuestReport {
  readonly progress: number;
  readonly sum: bigint;
  readonly wrong: number;
}

/** Ports with a meaning. */
export const ports = { work: 0xf4, halting: 0xf5, registers: 0xf6 } as const;
/** Vectors with a meaning. */
export const vectors = { ping: 0x70, pong: 0x71 } as const;

export const guestMemorySize = 4 * 2 ** 20;
export const loadAddress = 0x100000;
export const gdt = 0x7000;
export const pageTables = 0x1000;
export const stackEnd = (vp: number): number => 0x80000 + 0x8000 * vp;
export const mailbox = (vp: number): number => 0x10000 + 0x1000 * vp;
const shared = 0x18000;
export const registersIn = 0x19000;
const registersOut = 0x1a000;
/** For strings: as long as the guest likes. */
export const stringBuffer = 0x40000;
/** How much of a string the VMM moves at a time: a string instruction leaves more than once. */
export const stringElementsPerExit = 7;
/** Where the VMM has FS begin at port `registers`: what the guest loads registers from. */
export const editedFsBase = BigInt(registersIn);

const words = {
  command: 0x00,
  count: 0x08,
  address: 0x10,
  value: 0x18,
  progress: 0x20,
  sum: 0x28,
  wrong: 0x30,
  stop: 0x38,
  goOn: 0x40,
  carry: 0x48,
  fsWord: 0x50,
  counts: 0x800,
} as const;

/** The VMM's view of the guest's memory: tables, mailboxes, counters. */
export class DeviceGuestMemory {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(memory: ArrayBufferLike) {
    this.bytes = new Uint8Array(memory);
    this.#view = new DataView(memory);
  }

  /** Puts the guest, its page tables (4 GiB, one to one) and its descriptors where it expects them. */
  load(guest: Uint8Array): void {
    const level3 = pageTables + 0x1000;
    const directories = pageTables + 0x2000;
    this.setWord(pageTables, BigInt(level3 | 3));
    for (let gigabyte = 0; gigabyte < 4; gigabyte++) {
      this.setWord(level3 + 8 * gigabyte, BigInt((directories + 0x1000 * gigabyte) | 3));
    }
    for (let large = 0; large < 4 * 512; large++) {
      this.setWord(directories + 8 * large, (BigInt(large) << 21n) | 0x83n);
    }
    this.setWord(gdt + 8, 0x00af9b000000ffffn);
    this.setWord(gdt + 16, 0x00cf93000000ffffn);
    this.bytes.set(guest, loadAddress);
  }

  /** Takes away the translation of 2 MiB. */
  unmapLargePage(index: number): void {
    this.setWord(pageTables + 0x2000 + 8 * index, 0n);
  }

  word(address: number): bigint {
    return this.#view.getBigUint64(address, true);
  }

  setWord(address: number, value: bigint): void {
    this.#view.setBigUint64(address, value, true);
  }

  /** Writes a VP's mailbox, results set back. */
  order(vp: number, { command, count = 1, address = 0, value = 0 }: GuestOrder): void {
    const at = mailbox(vp);
    this.setWord(at + words.command, BigInt(commands.indexOf(command)));
    this.setWord(at + words.count, BigInt(count));
    this.setWord(at + words.address, BigInt(address));
    this.setWord(at + words.value, BigInt(value));
    for (const word of ['progress', 'sum', 'wrong', 'stop'] as const) {
      this.setWord(at + words[word], 0n);
    }
  }

  ordered(vp: number): GuestCommand {
    return commands[Number(this.word(mailbox(vp) + words.command))] ?? 'fault';
  }

  report(vp: number): GuestReport {
    const at = mailbox(vp);
    return {
      progress: Number(this.word(at + words.progress)),
      sum: this.word(at + words.sum),
      wrong: Number(this.word(at + words.wrong)),
    };
  }

  /** Ends `spin`, `touch`, `wait` and `receive` (these have to wake up for it), and the retries of `post`. */
  stop(vp: number): void {
    this.setWord(mailbox(vp) + words.stop, 1n);
  }

  progress(vp: number): number {
    return Number(this.word(mailbox(vp) + words.progress));
  }

  /** How often the VP's handler of a vector has run. */
  interrupts(vp: number, vector: number): number {
    return Number(this.word(mailbox(vp) + words.counts + 8 * vector));
  }

  /** How often all VPs went through `share`. */
  get shared(): number {
    return Number(this.word(shared));
  }

  /** Where RIP has to go at port `registers`. */
  goOn(vp: number): bigint {
    return this.word(mailbox(vp) + words.goOn);
  }

  carry(vp: number): number {
    return this.bytes[mailbox(vp) + words.carry] ?? 0;
  }

  fsWord(vp: number): bigint {
    return this.word(mailbox(vp) + words.fsWord);
  }

  /** What `registers` loads: 16 general registers in the hypervisor's order, then XMM0 to XMM5. */
  setRegistersIn(values: readonly bigint[]): void {
    values.forEach((value, i) => {
      this.setWord(registersIn + 8 * i, value);
    });
  }

  /** What `registers` stored last, likewise. */
  registersOut(): bigint[] {
    return Array.from({ length: 28 }, (_, i) => this.word(registersOut + 8 * i));
  }
}
