import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hvStatusCodes, hvStatusErrno, hvStatusName } from '../../../lib/abi/hv-status.js';
import { ioctls } from '../../../lib/abi/ioctls.js';
import { irqfdFlags } from '../../../lib/abi/irqfd.js';
import { limits } from '../../../lib/abi/limits.js';
import { msiRoutingWords } from '../../../lib/abi/msi-routing.js';
import { decodeMsi, deliveryModes } from '../../../lib/abi/msi.js';
import { partitionFlags, partitionIsolation } from '../../../lib/abi/partition.js';
import { facts, structsOf } from './facts.js';

/** The constants that begin with `prefix`, without it and without the COUNT that ends an enum. */
function members(prefix: string): [string, number][] {
  return Object.entries(facts.constants.mshv)
    .filter(([name]) => name.startsWith(prefix) && !name.endsWith('_COUNT'))
    .map(([name, value]) => [name.slice(prefix.length), value]);
}

test('ioctls are the request numbers of the facts', () => {
  expect(ioctls).toEqual(
    Object.fromEntries(Object.entries(facts.ioctls).map(([name, { value }]) => [name, value])),
  );
});

test('partitionFlags are the masks of MSHV_PT_BIT_*', () => {
  expect(partitionFlags).toEqual(
    Object.fromEntries(members('MSHV_PT_BIT_').map(([name, bit]) => [name, 1n << BigInt(bit)])),
  );
});

test('partitionIsolation has the values of MSHV_PT_ISOLATION_*', () => {
  expect(partitionIsolation).toEqual(
    Object.fromEntries(members('MSHV_PT_ISOLATION_').map(([name, bit]) => [name, BigInt(bit)])),
  );
});

test('irqfdFlags are the masks of MSHV_IRQFD_BIT_*', () => {
  expect(irqfdFlags).toEqual(
    Object.fromEntries(members('MSHV_IRQFD_BIT_').map(([name, bit]) => [name, 1 << bit])),
  );
});

test('limits are those of the driver', () => {
  expect(facts.constants.mshv).toMatchObject(limits);
});

test('the words of the MSI routing table lie where the driver has them', () => {
  const { mshv_user_irq_table: table, mshv_user_irq_entry: entry } = structsOf('x64');
  const word = (fact: { offset: number } | undefined): number => (fact?.offset ?? NaN) / 4;
  expect(msiRoutingWords).toEqual({
    count: word(table?.fields['nr']),
    header: word(table?.fields['entries']),
    entry: (entry?.size ?? NaN) / 4,
    gsi: word(entry?.fields['gsi']),
    addressLow: word(entry?.fields['address_lo']),
    addressHigh: word(entry?.fields['address_hi']),
    data: word(entry?.fields['data']),
  });
});

describe('decodeMsi', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });

  /** The bits that a fact like `data[7:0]` names. */
  function bits(fact: string | undefined, address: number, data: number): number {
    const match = /^(data|address_lo)\[(\d+)(?::(\d+))?\]/.exec(fact ?? '');
    if (match === null) throw new Error(`no bits in ${String(fact)}`);
    const [, source, high, low = high] = match;
    const value = source === 'data' ? data : address;
    return Math.floor(value / 2 ** Number(low)) % 2 ** (Number(high) - Number(low) + 1);
  }

  test('takes every field from the bits the driver takes it from', () => {
    const { msiDecode } = facts;
    fc.assert(
      fc.property(word, word, (address, data) => {
        const field = (name: string) => bits(msiDecode[name], address, data);
        expect(decodeMsi(address, data)).toEqual({
          vector: field('vector'),
          deliveryMode: deliveryModes[field('delivery_mode')],
          level: field('level_triggered') === 1,
          destination: field('apic_id'),
          logical: field('logical_dest_mode') === 1,
        });
      }),
    );
  });

  test('decodes a level-triggered NMI to a logical destination', () => {
    expect(decodeMsi(0xfee81004, 0x84c3)).toEqual({
      vector: 0xc3,
      deliveryMode: 'nmi',
      level: true,
      destination: 0x81,
      logical: true,
    });
  });

  test('names the delivery modes in the order of the interrupt types', () => {
    const types = deliveryModes.map(
      (mode) => facts.constants.hv[`HV_X64_INTERRUPT_TYPE_${mode.replace('-', '').toUpperCase()}`],
    );
    expect(types).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('HV status', () => {
  const codes = Array.from({ length: 0x10000 }, (_, code) => code);

  test('codes are those of the facts', () => {
    expect(hvStatusCodes).toEqual(facts.status);
  });

  test('every code has its name, and no other number has one', () => {
    const names = new Map(Object.entries(facts.status).map(([name, code]) => [code, name]));
    expect(codes.map(hvStatusName)).toEqual(codes.map((code) => names.get(code)));
  });

  test('every code has the errno the driver makes of it', () => {
    const errnos = new Map(
      Object.entries(facts.statusToErrno).map(([name, errno]) => [facts.status[name], errno]),
    );
    expect(codes.map(hvStatusErrno)).toEqual(
      codes.map((code) => errnos.get(code) ?? facts.statusToErrnoDefault),
    );
  });
});
