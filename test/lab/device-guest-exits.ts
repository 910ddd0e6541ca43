import type {
  EventFd,
  Intercept,
  IoPortIntercept,
  RegisterPage,
  UnmappedGpaIntercept,
  Vp,
} from '../../lib/index.js';
import {
  editedFsBase,
  ports,
  stringElementsPerExit,
  type DeviceGuestMemory,
  type GuestCommand,
} from './device-guest-memory.js';

/** The n-th answer to a read of any kind. No two halves and no two bytes of neighbours are alike. */
export const answer = (n: number): bigint =>
  BigInt.asUintN(64, 0x9e3779b97f4a7c15n * BigInt(n + 1));

/** Words of the VMM's own account, in memory that threads share. */
export const account = { sum: 0, exits: 1, answers: 2, size: 3 } as const;

const widths: Partial<Record<GuestCommand, number>> = {
  write8: 8,
  write16: 16,
  write32: 32,
  write64: 64,
  read8: 8,
  read16: 16,
  read32: 32,
  read64: 64,
};

const general = [
  'RAX',
  'RCX',
  'RDX',
  'RBX',
  'RSP',
  'RBP',
  'RSI',
  'RDI',
  'R8',
  'R9',
  'R10',
  'R11',
  'R12',
  'R13',
  'R14',
  'R15',
] as const;
const vector = ['XMM0', 'XMM1', 'XMM2', 'XMM3', 'XMM4', 'XMM5'] as const;

/** What each register is at port `registers` becomes this. */
export const edited = (value: bigint): bigint => value ^ 0xffff_0000_ffff_0000n;

const low32 = 0xffff_ffffn;
const carry = 1n;

/**
 * The VMM of lab/device-guest.S: completes every exit that the guest makes, and keeps account of what went
 * over. Used on the thread that runs the VP.
 */
export class DeviceGuestExits {
  static newAccount(): BigUint64Array {
    return new BigUint64Array(new SharedArrayBuffer(8 * account.size));
  }

  readonly #vp: Vp;
  readonly #memory: DeviceGuestMemory;
  readonly #account: BigUint64Array;
  readonly #halting: EventFd | undefined;

  /** @param halting - signalled when the guest is about to halt */
  constructor(vp: Vp, memory: DeviceGuestMemory, words: BigUint64Array, halting?: EventFd) {
    this.#vp = vp;
    this.#memory = memory;
    this.#account = words;
    this.#halting = halting;
  }

  /** Completes an exit. True where the guest asked for work. */
  complete(exit: Intercept): boolean {
    this.#add(account.exits, 1n);
    switch (exit.type) {
      case 'io-port':
        if (exit.isString) {
          this.#string(exit);
          return false;
        }
        if (!exit.isWrite) {
          this.#vp.completeIoPort(exit, Number(this.#answer(8 * exit.size)));
          return false;
        }
        switch (exit.port) {
          case ports.registers:
            this.#editRegisters(exit);
            return false;
          case ports.halting:
            this.#halting?.signal();
            break;
          case ports.work:
            this.#vp.completeIoPort(exit);
            return true;
          default:
            this.#add(account.sum, BigInt(exit.value));
        }
        this.#vp.completeIoPort(exit);
        return false;
      case 'unmapped-gpa':
        this.#mmio(exit);
        return false;
      case 'msr':
        if (exit.isWrite) {
          this.#add(account.sum, exit.value);
          this.#vp.completeMsr(exit);
        } else {
          this.#vp.completeMsr(
            exit,
            this.#answer(64, (value) => (value >> 32n) + (value & low32)),
          );
        }
        return false;
      case 'cpuid': {
        const register = (): number => Number(this.#answer(32));
        this.#vp.completeCpuid(exit, {
          eax: register(),
          ebx: register(),
          ecx: register(),
          edx: register(),
        });
        return false;
      }
      case 'hypercall': {
        if (exit.outputGpa !== 3n * exit.inputGpa) throw new Error('R8 is not three times RDX');
        const status = Number(this.#answer(16, () => 0n));
        const repsCompleted = exit.repCount;
        this.#add(account.sum, (BigInt(repsCompleted) << 32n) | BigInt(status));
        this.#vp.completeHypercall(exit, { status, repsCompleted });
        return false;
      }
      case 'halt':
        this.#vp.skipInstruction(exit);
        return false;
      default:
        throw new Error(`the guest left with ${exit.type}`);
    }
  }

  /** The page, which is mapped at the first exit that needs it. */
  get #page(): RegisterPage {
    const page = this.#vp.registerPage;
    if (page === undefined) throw new Error('the driver has no register page');
    return page;
  }

  /** Moves some elements between memory and the device; RIP stays until there is none left. */
  #string(exit: IoPortIntercept): void {
    const { size } = exit;
    const page = this.#page;
    const left = page.get('RCX');
    const elements = left < stringElementsPerExit ? Number(left) : stringElementsPerExit;
    const pointer = exit.isWrite ? 'RSI' : 'RDI';
    const at = Number(page.get(pointer));
    const bytes = this.#memory.bytes.subarray(at, at + size * elements);
    if (exit.isWrite) {
      this.#add(account.sum, BigInt(bytes.reduce((sum, byte) => sum + byte, 0)));
    } else {
      for (let i = 0; i < bytes.length; i++) {
        bytes[i] = Number(this.#answer(8));
      }
    }
    page.set(pointer, at + bytes.length);
    page.set('RCX', left - BigInt(elements));
    if (left === BigInt(elements)) this.#vp.skipInstruction(exit);
  }

  /** Everything is in RAX: the guest uses no other register for it. */
  #mmio(exit: UnmappedGpaIntercept): void {
    const width = widths[this.#memory.ordered(this.#vp.index)];
    if (width === undefined) throw new Error(`the guest touches ${exit.gpa.toString(16)}`);
    const page = this.#page;
    const rax = page.get('RAX');
    if (exit.isWrite) {
      this.#add(account.sum, BigInt.asUintN(width, rax));
    } else {
      const value = this.#answer(width);
      const kept = width < 32 ? (rax >> BigInt(width)) << BigInt(width) : 0n;
      page.set('RAX', kept | value);
    }
    this.#vp.skipInstruction(exit);
  }

  /** Reads all registers, and writes them all: some through the page, some by name, which is the same until the VP runs. */
  #editRegisters(exit: IoPortIntercept): void {
    const page = this.#page;
    if (page.rip !== exit.rip) throw new Error('the page and the exit differ in RIP');
    const wide = this.#vp.getRegisters(vector);
    for (const name of vector) {
      const value = wide[name];
      if (page.get(name) !== value) throw new Error(`the page is wrong about ${name}`);
      this.#add(account.sum, (value >> 64n) + BigInt.asUintN(64, value));
    }
    general.forEach((name, i) => {
      const value = page.get(name);
      this.#add(account.sum, value);
      if (i % 2 === 0) page.set(name, edited(value));
      else this.#vp.setRegisters({ [name]: edited(value) });
    });
    page.rflags |= carry;
    const { FS } = this.#vp.getRegisters(['FS']);
    const goOn = this.#memory.goOn(this.#vp.index);
    this.#vp.setRegisters({ RIP: goOn, FS: { ...FS, base: editedFsBase } });
    const now = this.#vp.getRegisters([...general, 'RIP', 'RFLAGS']);
    for (const name of [...general, 'RIP', 'RFLAGS'] as const) {
      if (page.get(name) !== now[name]) throw new Error(`the page and the VP differ in ${name}`);
    }
    this.#vp.setRegisters(
      Object.fromEntries(
        vector.map((name) => [
          name,
          (edited(wide[name] >> 64n) << 64n) | edited(BigInt.asUintN(64, wide[name])),
        ]),
      ),
    );
  }

  #add(word: number, value: bigint): void {
    this.#account[word] = (this.#account[word] ?? 0n) + value;
  }

  /** The next answer, `bits` wide; adds to the sum what the guest will. */
  #answer(bits: number, summed: (value: bigint) => bigint = (value) => value): bigint {
    const value = BigInt.asUintN(bits, answer(Number(this.#account[account.answers])));
    this.#add(account.answers, 1n);
    this.#add(account.sum, summed(value));
    return value;
  }
}
