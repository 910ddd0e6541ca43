import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import {
  type Doorbell,
  GuestMemory,
  type MappedMemory,
  MshvError,
  type Partition,
} from '../../lib/index.js';
import type { GuestSide } from '../guest-side.js';
import { mappings } from '../mappings.js';
import { openDescriptors } from '../open-descriptors.js';
import { pageIn } from '../page-in.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Random orders of making, using and ending memories, mappings, doorbells and partitions, against a
// model. After every step the objects say what the model says, the guest reads what the model's memory
// holds, and this process has exactly the mappings that somebody still needs.

const page = 4096;
const partitions = 2;
const doorbellGpa = 0xd0000000n;

interface ModelMemory {
  /** The first byte of each page. */
  readonly bytes: number[];
  closed: boolean;
}

interface ModelMapping {
  readonly memory: ModelMemory;
  readonly first: number;
  readonly pages: number;
  readonly offset: number;
  readonly writable: boolean;
  /** The guest has touched it. */
  present: boolean;
  /** By page of the guest. */
  readonly dirty: Set<number>;
}

interface ModelDoorbell {
  readonly gpa: bigint;
  readonly size: 0 | 4 | 8;
  readonly match: bigint | undefined;
  rung: bigint;
}

class ModelPartition {
  mappings: ModelMapping[] = [];
  doorbells: ModelDoorbell[] = [];

  at(gpaPage: number): ModelMapping | undefined {
    return this.mappings.find(({ first, pages }) => gpaPage >= first && gpaPage < first + pages);
  }

  overlapping(first: number, pages: number): ModelMapping[] {
    return this.mappings.filter(
      (other) => first < other.first + other.pages && other.first < first + pages,
    );
  }
}

class Model {
  memories: ModelMemory[] = [];
  readonly partitions = Array.from({ length: partitions }, () => new ModelPartition());

  uses(memory: ModelMemory): number {
    return this.partitions
      .flatMap(({ mappings }) => mappings)
      .filter((mapping) => mapping.memory === memory).length;
  }
}

class Real {
  readonly guest: GuestSide;
  readonly partitions: Partition[];
  readonly memories = new Map<ModelMemory, { memory: GuestMemory; view: Uint8Array }>();
  readonly mappings = new Map<ModelMapping, MappedMemory>();
  readonly doorbells = new Map<ModelDoorbell, Doorbell>();

  constructor(guest: GuestSide) {
    this.guest = guest;
    this.partitions = Array.from({ length: partitions }, () => guest.createPartition(1));
  }

  partition(index: number): Partition {
    const partition = this.partitions[index];
    if (partition === undefined) throw new Error(`no partition ${index}`);
    return partition;
  }

  close(): void {
    for (const partition of this.partitions) partition.close();
    for (const { memory } of this.memories.values()) memory.close();
  }
}

function found<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new Error('the model has what there is not');
  return value;
}

/** The code of the MshvError that it throws, or undefined. */
function codeOf(act: () => void): string | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof MshvError) return error.code;
    throw error;
  }
  return undefined;
}

function compare(model: Model, real: Real): void {
  model.partitions.forEach(({ mappings, doorbells }, index) => {
    const partition = real.partition(index);
    const ascending = [...mappings].sort((one, other) => one.first - other.first);
    expect(partition.mappings).toEqual(ascending.map((one) => found(real.mappings, one)));
    for (const { first, pages, offset, writable, memory } of ascending)
      expect(partition.mappings.find(({ gpa }) => gpa === BigInt(first * page))).toMatchObject({
        mapped: true,
        memory: found(real.memories, memory).memory,
        size: pages * page,
        offset: offset * page,
        writable,
      });
    expect(new Set(partition.doorbells)).toEqual(
      new Set(doorbells.map((one) => found(real.doorbells, one))),
    );
    for (const doorbell of doorbells) {
      const { rung } = doorbell;
      doorbell.rung = 0n;
      const { event } = found(real.doorbells, doorbell);
      expect(event.tryRead()).toBe(rung === 0n ? undefined : rung);
    }
  });
  const needed = model.memories.filter((one) => !one.closed || model.uses(one) > 0);
  for (const one of model.memories) {
    const { memory, view } = found(real.memories, one);
    expect(memory.closed).toBe(one.closed);
    expect(memory.mappings).toBe(model.uses(one));
    expect(view.length).toBe(one.closed ? 0 : one.bytes.length * page);
  }
  expect(mappings(/memfd:mshv_memory/).length).toBe(needed.length);
}

/** One step: what the model says of it, and what comes of it. */
class Step implements fc.Command<Model, Real> {
  readonly text: string;
  readonly act: (model: Model, real: Real) => void;

  constructor(text: string, act: (model: Model, real: Real) => void) {
    this.text = text;
    this.act = act;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    this.act(model, real);
    compare(model, real);
  }

  toString(): string {
    return this.text;
  }
}

const picked = <T>(list: readonly T[], at: number): T | undefined => list[at % (list.length || 1)];

const modelPartition = (model: Model, index: number): ModelPartition => {
  const partition = model.partitions[index];
  if (partition === undefined) throw new Error(`no partition ${index}`);
  return partition;
};

const allocate = (pages: number) =>
  new Step(`allocate(${pages})`, (model, real) => {
    const memory = GuestMemory.allocate(pages * page, { shared: true, native: real.guest.native });
    const one: ModelMemory = { bytes: Array.from({ length: pages }, () => 0), closed: false };
    model.memories.push(one);
    real.memories.set(one, { memory, view: memory.view(Uint8Array) });
  });

const closeMemory = (at: number) =>
  new Step(`close memory ${at}`, (model, real) => {
    const one = picked(model.memories, at);
    if (one === undefined) return;
    found(real.memories, one).memory.close();
    one.closed = true;
  });

const map = (
  index: number,
  at: number,
  first: number,
  offset: number,
  length: number,
  writable: boolean,
) =>
  new Step(`map(${[index, at, first, offset, length, writable].join()})`, (model, real) => {
    const one = picked(model.memories, at);
    if (one === undefined) return;
    const partition = modelPartition(model, index);
    const begin = offset % one.bytes.length;
    const pages = 1 + (length % (one.bytes.length - begin));
    const overlapping = partition.overlapping(first, pages).length > 0;
    let mapping: MappedMemory | undefined;
    const code = codeOf(() => {
      mapping = real.partition(index).mapMemory(found(real.memories, one).memory, {
        gpa: first * page,
        offset: begin * page,
        size: pages * page,
        writable,
      });
    });
    if (one.closed || overlapping) {
      expect(['ERR_MSHV_CLOSED', 'ERR_MSHV_GPA_IN_USE']).toContain(code);
      return;
    }
    expect(code).toBeUndefined();
    const made = { memory: one, first, pages, offset: begin, writable };
    const entry: ModelMapping = { ...made, present: false, dirty: new Set() };
    partition.mappings.push(entry);
    if (mapping !== undefined) real.mappings.set(entry, mapping);
  });

const unmap = (index: number, at: number) =>
  new Step(`unmap mapping ${at} of ${index}`, (model, real) => {
    const partition = modelPartition(model, index);
    const one = picked(partition.mappings, at);
    if (one === undefined) return;
    const mapping = found(real.mappings, one);
    mapping.unmap();
    expect(mapping.mapped).toBe(false);
    mapping.unmap();
    partition.mappings = partition.mappings.filter((other) => other !== one);
  });

const unmapRange = (index: number, first: number, pages: number) =>
  new Step(`unmapMemory(${[index, first, pages].join()})`, (model, real) => {
    const partition = modelPartition(model, index);
    const there = partition.overlapping(first, pages);
    const exact = there.find((one) => one.first === first && one.pages === pages);
    const code = codeOf(() => {
      real.partition(index).unmapMemory({ gpa: first * page, size: pages * page });
    });
    const expected = there.length === 0 ? 'ERR_MSHV_GPA_NOT_MAPPED' : 'ERR_MSHV_PARTIAL_UNMAP';
    expect(code).toBe(exact === undefined ? expected : undefined);
    partition.mappings = partition.mappings.filter((one) => one !== exact);
  });

const hostWrite = (at: number, where: number, value: number) =>
  new Step(`memory ${at}: write(${where}, ${value})`, (model, real) => {
    const one = picked(model.memories, at);
    if (one === undefined) return;
    const target = where % one.bytes.length;
    const code = codeOf(() => {
      found(real.memories, one).memory.write(target * page, Uint8Array.of(value));
    });
    expect(code).toBe(one.closed ? 'ERR_MSHV_CLOSED' : undefined);
    if (!one.closed) one.bytes[target] = value;
  });

/** Writes a value, or reads where there is none. */
const guestAccess = (index: number, gpaPage: number, value: number | undefined) =>
  new Step(`guest of ${index}: page ${gpaPage} ${value ?? 'read'}`, (model, real) => {
    const { guest } = real;
    const partition = real.partition(index);
    const one = modelPartition(model, index).at(gpaPage);
    const gpa = BigInt(gpaPage * page);
    if (one === undefined) {
      expect(pageIn(guest, partition, gpa)).toBe(false);
      expect(() => guest.readMemory(partition, gpa, 1)).toThrow(/ENXIO|EACCES/);
      return;
    }
    if (!one.present) expect(pageIn(guest, partition, gpa)).toBe(true);
    one.present = true;
    const target = one.offset + gpaPage - one.first;
    if (value !== undefined && one.writable) {
      guest.writeMemory(partition, gpa, Uint8Array.of(value));
      one.memory.bytes[target] = value;
      one.dirty.add(gpaPage);
    } else if (value !== undefined) {
      expect(() => {
        guest.writeMemory(partition, gpa, Uint8Array.of(value));
      }).toThrow(expect.objectContaining({ code: 'EACCES' }));
    }
    expect([...guest.readMemory(partition, gpa, 1)]).toEqual([one.memory.bytes[target]]);
    if (!one.memory.closed)
      expect(found(real.memories, one.memory).view[target * page]).toBe(one.memory.bytes[target]);
  });

const dirty = (index: number, first: number, pages: number, clear: boolean) =>
  new Step(`dirtyPages(${[index, first, pages, clear].join()})`, (model, real) => {
    const partition = modelPartition(model, index);
    const range = Array.from({ length: pages }, (_, i) => first + i);
    let seen: number[] | undefined;
    const code = codeOf(() => {
      const options = { gpa: first * page, size: pages * page, clear };
      seen = [...real.partition(index).dirtyPages(options)].map((gpa) => Number(gpa) / page);
    });
    if (range.some((one) => partition.at(one) === undefined)) {
      expect(code).toBe('ERR_MSHV_GPA_NOT_MAPPED');
      return;
    }
    expect(code).toBeUndefined();
    expect(seen).toEqual(range.filter((one) => partition.at(one)?.dirty.has(one)));
    if (clear) for (const one of range) partition.at(one)?.dirty.delete(one);
  });

const register = (index: number, at: number, size: 0 | 4 | 8, match: bigint | undefined) =>
  new Step(`registerDoorbell(${[index, at, size, match].join()})`, (model, real) => {
    const partition = modelPartition(model, index);
    const gpa = doorbellGpa + BigInt(at * 8);
    const collides = partition.doorbells.some(
      (other) =>
        other.gpa === gpa &&
        other.size === size &&
        (other.match === undefined || match === undefined || other.match === match),
    );
    let doorbell: Doorbell | undefined;
    const code = codeOf(() => {
      const value = match === undefined ? {} : { match };
      doorbell = real.partition(index).registerDoorbell({ gpa, size, ...value });
    });
    expect(code).toBe(collides ? 'ERR_MSHV_DOORBELL_IN_USE' : undefined);
    if (doorbell === undefined) return;
    const one: ModelDoorbell = { gpa, size, match, rung: 0n };
    partition.doorbells.push(one);
    real.doorbells.set(one, doorbell);
  });

const closeDoorbell = (index: number, at: number) =>
  new Step(`close doorbell ${at} of ${index}`, (model, real) => {
    const partition = modelPartition(model, index);
    const one = picked(partition.doorbells, at);
    if (one === undefined) return;
    const doorbell = found(real.doorbells, one);
    doorbell.close();
    expect([doorbell.closed, doorbell.event.closed]).toEqual([true, true]);
    doorbell.close();
    partition.doorbells = partition.doorbells.filter((other) => other !== one);
  });

const ring = (index: number, at: number, size: 4 | 8, value: bigint) =>
  new Step(`guest of ${index}: ring(${[at, size, value].join()})`, (model, real) => {
    const gpa = doorbellGpa + BigInt(at * 8);
    const rung = modelPartition(model, index).doorbells.filter(
      (one) =>
        one.gpa === gpa &&
        (one.size === 0 || one.size === size) &&
        (one.match === undefined || one.match === value),
    );
    for (const one of rung) one.rung++;
    expect(real.guest.writeMmio(real.partition(index), gpa, size, value)).toBe(rung.length > 0);
  });

const closePartition = (index: number) =>
  new Step(`close partition ${index}`, (model, real) => {
    const partition = modelPartition(model, index);
    real.partition(index).close();
    for (const one of partition.mappings) expect(found(real.mappings, one).mapped).toBe(false);
    for (const one of partition.doorbells) expect(found(real.doorbells, one).closed).toBe(true);
    partition.mappings = [];
    partition.doorbells = [];
    real.partitions[index] = real.guest.createPartition(1);
  });

const which = fc.nat({ max: partitions - 1 });
const at = fc.nat({ max: 20 });
const gpaPage = fc.nat({ max: 11 });
const pages = fc.integer({ min: 1, max: 4 });
const byte = fc.integer({ min: 1, max: 255 });
const bell = fc.nat({ max: 1 });
const value = fc.bigInt({ min: 0n, max: 2n });

const steps: [number, fc.Arbitrary<Step>][] = [
  [3, pages.map(allocate)],
  [2, at.map(closeMemory)],
  [8, fc.tuple(which, at, gpaPage, at, at, fc.boolean()).map((args) => map(...args))],
  [3, fc.tuple(which, at).map((args) => unmap(...args))],
  [3, fc.tuple(which, gpaPage, pages).map((args) => unmapRange(...args))],
  [3, fc.tuple(at, at, byte).map((args) => hostWrite(...args))],
  [
    8,
    fc
      .tuple(which, gpaPage, fc.option(byte, { nil: undefined }))
      .map((args) => guestAccess(...args)),
  ],
  [4, fc.tuple(which, gpaPage, pages, fc.boolean()).map((args) => dirty(...args))],
  [
    4,
    fc
      .tuple(which, bell, fc.constantFrom(0 as const, 4, 8), fc.option(value, { nil: undefined }))
      .map((args) => register(...args)),
  ],
  [2, fc.tuple(which, at).map((args) => closeDoorbell(...args))],
  [4, fc.tuple(which, bell, fc.constantFrom(4 as const, 8), value).map((args) => ring(...args))],
  [1, which.map(closePartition)],
];

const guest = await guestSideForTests();

it('ends every memory, mapping, doorbell and partition in any order', () => {
  const descriptors = openDescriptors();
  fc.assert(
    fc.property(
      // Each kind of step as often in the list as it is to come.
      fc.commands(
        steps.flatMap(([weight, step]) => Array.from({ length: weight }, () => step)),
        { maxCommands: 60, size: 'max' },
      ),
      (commands) => {
        const real = new Real(guest);
        try {
          fc.modelRun(() => ({ model: new Model(), real }), commands);
        } finally {
          real.close();
        }
        expect(openDescriptors()).toBe(descriptors);
        expect(mappings(/memfd:mshv_memory/)).toEqual([]);
      },
    ),
    { seed: 20261121, numRuns: guest.backend === 'lab' ? 25 : 150 },
  );
});
