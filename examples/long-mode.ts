import type { GuestMemory, Vp } from 'mshv';

// Where the guest's tables are: the first 32 KiB of its memory.
const pml4 = 0x1000;
const pdpt = 0x2000;
const directories = 0x3000; // four
const gdt = 0x7000;

/** The first address that `enterLongMode` leaves alone. */
export const firstFree = 0x8000;

const code = { base: 0, limit: 0xffffffff, selector: 0x08, attributes: 0xa09b };
const data = { base: 0, limit: 0xffffffff, selector: 0x10, attributes: 0xc093 };

/**
 * Lets a VP begin at `entry` in 64-bit mode: the low 4 GiB mapped one to one, flat segments, interrupts
 * off, no IDT.
 *
 * @param memory - mapped at GPA 0
 */
export function enterLongMode(
  vp: Pick<Vp, 'setRegisters'>,
  memory: Pick<GuestMemory, 'view'>,
  entry: number,
  stack: number,
): void {
  const words = memory.view(BigUint64Array);
  words[pml4 / 8] = BigInt(pdpt | 3);
  for (let i = 0; i < 4; i++) {
    words[pdpt / 8 + i] = BigInt((directories + 0x1000 * i) | 3);
  }
  for (let i = 0; i < 4 * 512; i++) {
    words[directories / 8 + i] = (BigInt(i) << 21n) | 0x83n;
  }
  words[gdt / 8 + 1] = 0x00af9b000000ffffn;
  words[gdt / 8 + 2] = 0x00cf93000000ffffn;
  vp.setRegisters({
    CR0: 0x80000011,
    CR3: pml4,
    CR4: 0x620,
    EFER: 0xd00,
    CS: code,
    SS: data,
    DS: data,
    ES: data,
    FS: data,
    GS: data,
    TR: { base: 0, limit: 0xffff, selector: 0x18, attributes: 0x8b },
    GDTR: { base: gdt, limit: 23 },
    IDTR: { base: 0, limit: 0 },
    RSP: stack,
    RFLAGS: 2,
    RIP: entry,
  });
}
