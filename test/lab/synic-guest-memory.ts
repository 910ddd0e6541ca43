import { hvStatusName } from '../../lib/abi/hv-status.js';
import type { DeviceGuestMemory } from './device-guest-memory.js';

const areas = 0x200000;
const areaSize = 0x40000;
const words = {
  hold: 0x3000,
  pace: 0x3008,
  messages: 0x3010,
  bad: 0x3018,
  eoms: 0x3020,
  events: 0x3028,
  statuses: 0x3800,
  log: 0x4000,
} as const;
const statuses = 256;
const logLength = 0x2000;
const flagCounts = 0x20000;
const flagsPerSint = 2048;

/** The vector that the guest gives to a SINT. */
export const sintVector = (sint: number): number => 0x90 + sint;

/** What `synic` switches on, as its address. */
export const synicParts = { control: 1, messages: 2, events: 4, all: 7 } as const;
/** Properties of the SINTs, likewise. */
export const sintFlags = { autoEoi: 1 << 17, polling: 1 << 18 } as const;

/** A message as the guest makes it and expects it: it follows from its first word. */
export interface SequencedMessage {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** The first words of some messages: as many as there are, of one stream. */
export function sequence(stream: number, count: number, first = 0): bigint[] {
  return Array.from({ length: count }, (_, n) => (BigInt(stream) << 32n) | BigInt(first + n));
}

export function sequencedMessage(word: bigint): SequencedMessage {
  const n = Number(word & 0xffff_ffffn);
  const payload = new Uint8Array(8 + (n % 233));
  for (let i = 8; i < payload.length; i++) {
    payload[i] = n + i;
  }
  new DataView(payload.buffer).setBigUint64(0, word, true);
  return { type: (n & 0x7fff_ffff) + 1, payload };
}

/** The first word of a message; undefined where the rest of it is not what follows from that. */
export function sequencedWord(type: number, payload: Uint8Array): bigint | undefined {
  if (payload.length < 8) return undefined;
  const word = new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
  const expected = sequencedMessage(word);
  return type === expected.type && Buffer.compare(payload, expected.payload) === 0
    ? word
    : undefined;
}

/** The VMM's view of what belongs to a VP's SynIC: see lab/device-guest-synic.S. */
export class SynicGuestMemory {
  readonly #memory: DeviceGuestMemory;
  readonly #at: number;

  constructor(memory: DeviceGuestMemory, vp: number) {
    this.#memory = memory;
    this.#at = areas + areaSize * vp;
  }

  /** The SINTs whose messages and event flags the guest is to leave where they are, a bit for each. */
  set hold(sints: number) {
    this.#memory.setWord(this.#at + words.hold, BigInt(sints));
  }

  /** How many turns of a loop the guest is to make before it takes a message. */
  set pace(turns: number) {
    this.#memory.setWord(this.#at + words.pace, BigInt(turns));
  }

  /** How many messages the guest has taken. */
  get messages(): number {
    return this.#count(words.messages);
  }

  /** How many of them were not what their first word says. */
  get badMessages(): number {
    return this.#count(words.bad);
  }

  /** How often the guest had to say that a slot is free. */
  get eoms(): number {
    return this.#count(words.eoms);
  }

  /** How many event flags the guest has found set. */
  get events(): number {
    return this.#count(words.events);
  }

  /** The first words of the messages that came by a SINT, in order. */
  received(sint: number): bigint[] {
    if (this.messages > logLength) throw new RangeError(`the log has ${logLength} messages only`);
    const all = Array.from({ length: this.messages }, (_, i) =>
      this.#memory.word(this.#at + words.log + 8 * i),
    );
    return all
      .filter((word) => Number(word >> 56n) === sint)
      .map((word) => BigInt.asUintN(56, word));
  }

  /** How often the guest found each flag of a SINT set: those that it has found at all. */
  flags(sint: number): Map<number, number> {
    const { bytes } = this.#memory;
    const counts = new Uint32Array(
      bytes.buffer,
      this.#at + flagCounts + 4 * flagsPerSint * sint,
      flagsPerSint,
    );
    return new Map([...counts.entries()].filter(([, count]) => count > 0));
  }

  /** How often the guest's hypercalls ended with each status. */
  get statuses(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let status = 0; status < statuses; status++) {
      const count = this.#count(words.statuses + 8 * status);
      if (count > 0) counts[hvStatusName(status) ?? `0x${status.toString(16)}`] = count;
    }
    return counts;
  }

  #count(word: number): number {
    return Number(this.#memory.word(this.#at + word));
  }
}
