import { type Argument, integer, quantity, required } from './argument.js';

/** What no MSI may be, whoever takes it: the address and the data. */
export function msi(owner: string, resampled = false): { address: Argument[]; data: Argument[] } {
  const data = (accepts: string, ...wrong: [number, string][]): Argument => ({
    name: `${owner}data`,
    accepts,
    wrong: wrong.map(([value, shown]) => ({ value, error: 'range', shown })),
  });
  const address = (accepts: string, ...wrong: [number | bigint, string][]): Argument => ({
    name: `${owner}address`,
    accepts,
    wrong: wrong.map(([value, shown]) => ({ value, error: 'range', shown })),
  });
  const meantForNobody = [
    address(
      'an MSI address with the APIC id of an existing VP as its physical destination in bits 19:12',
      [0xfee04000, '0xfee04000 (no VP has APIC id 4: create it first)'],
      [0xfeefe000n, '0xfeefe000 (no VP has APIC id 254: create it first)'],
    ),
    address('an MSI address with one VP as its physical destination in bits 19:12', [
      0xfeeff000,
      '0xfeeff000 (all VPs)',
    ]),
    address(
      'an MSI address, from 0xfee00000 to 0xfeefffff',
      [0, '0x0'],
      [0xfec00000, '0xfec00000'],
      [0xffffffffn, '0xffffffff'],
    ),
    address('an MSI address in compatibility format, without bit 4', [0xfee00258, '0xfee00258']),
    address('an MSI address without bits 11:5', [0xfee01060n, '0xfee01060']),
  ];
  return {
    address: [
      required(quantity(`${owner}address`, 0n, 2n ** 64n - 1n)),
      address(
        'below 2^32',
        [0x1_fee00000, '0x1fee00000'],
        [0xfee00000_00000000n, '0xfee0000000000000'],
      ),
      ...meantForNobody,
    ],
    data: [
      required(integer(`${owner}data`, 0, 0xffffffff)),
      data(
        `an MSI with delivery mode ${resampled ? '0, 1, 4, 5 or 7' : '0, 1, 4 or 5'} in bits 10:8`,
        [0x0341, '0x341 (mode 3)'],
        [0x0641, '0x641 (mode 6)'],
        [0xfffffe60, '0xfffffe60 (mode 6)'],
      ),
      data(
        'an MSI with a vector from 16 to 255 in bits 7:0',
        [0, '0x0 (vector 0)'],
        [15, '0xf (vector 15)'],
        [0x10f, '0x10f (vector 15)'],
        [0x8000, '0x8000 (vector 0)'],
        [0x12340000, '0x12340000 (vector 0)'],
      ),
    ],
  };
}
