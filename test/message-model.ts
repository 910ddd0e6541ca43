import * as fc from 'fast-check';
import { expect } from 'vitest';

import {
  type GuestMessagePort,
  type GuestMessages,
  MshvError,
  type SavedGuestMessages,
} from '../lib/index.js';

// Random sequences of posts, busy slots, reads, retargets, transfers, saves, restores and resets against a model of
// one list for each SINT: the queues of lib/synic alone, over a fake partition, and over a driver.

export const vps = 3;
export const sints = [2, 15];
export const bound = 3;
/** The SINT of each port. */
const ports = [2, 2, 2, 15, 15];

/** The type of messages that the hypervisor refuses for good, where their slot is free. */
export const refusedType = 666;

/** A payload with an id. */
export function payloadOf(id: number): Uint8Array {
  return Uint8Array.of(id, id >> 8);
}

export function idOf(payload: Uint8Array): number {
  return (payload[0] ?? 0) | ((payload[1] ?? 0) << 8);
}

/** A message of somebody else: the guest takes it, and nobody knows it. */
export const foreignId = 0xffff;

export function keyOf(vp: number, sint: number): string {
  return `${vp}:${sint}`;
}

/** A guest that takes messages out of its SINTs' slots when it is told to. */
export interface ModelledGuest {
  /** The ids of what it has got, in order, by VP and SINT. */
  readonly received: ReadonlyMap<string, readonly number[]>;
  /** Fills a slot with somebody else's message; false where it is full. */
  occupy(vp: number, sint: number): boolean;
  /** Takes the message out of a slot; false where there is none. */
  read(vp: number, sint: number): boolean;
  /** Which SINTs' notifications the VP's register asks for, a bit for each. */
  requested(vp: number): number;
  /** Gives the notifications that are due, until there are none. */
  notify(messages: GuestMessages): void | Promise<void>;
}

/** Makes queues, with all VPs attached. */
export type NewQueues = (onError: (error: MshvError) => void) => {
  readonly messages: GuestMessages;
  /** Nobody uses these queues any more. */
  readonly end: () => void;
};

type Answer = 'taken' | 'waiting' | 'refused' | 'reset' | 'closed' | false;

interface ModelMessage {
  readonly id: number;
  readonly type: number;
  readonly port: number | undefined;
  taken: boolean;
}

const targetsAtFirst = ports.map(() => 0);

/** Messages by VP and SINT. */
type Snapshot = [key: string, messages: { id: number; type: number }[]][];

export class MessageModel {
  readonly queues = new Map<string, ModelMessage[]>();
  readonly slots = new Map<string, number>();
  readonly received = new Map<string, number[]>();
  readonly answers: Answer[] = [];
  readonly targets = [...targetsAtFirst];
  reported = 0;
  saved: Snapshot = [];

  queue(key: string): ModelMessage[] {
    const queue = this.queues.get(key) ?? [];
    this.queues.set(key, queue);
    return queue;
  }

  keyOf(port: number): string {
    return keyOf(this.targets[port] ?? -1, ports[port] ?? -1);
  }

  take(key: string): void {
    const queue = this.queue(key);
    while (queue.filter(({ taken }) => taken).length < bound) {
      const next = queue.find(({ taken }) => !taken);
      if (next === undefined) return;
      next.taken = true;
      this.answers[next.id] = 'taken';
    }
  }

  deliver(key: string): void {
    const queue = this.queue(key);
    for (let head = queue[0]; head !== undefined && !this.slots.has(key); head = queue[0]) {
      if (head.type === refusedType) {
        if (head.taken) this.reported++;
        else this.answers[head.id] = 'refused';
      } else {
        this.slots.set(key, head.id);
        this.answers[head.id] = 'taken';
      }
      queue.shift();
      this.take(key);
    }
  }

  discard(answer: Answer): void {
    for (const [key, queue] of this.queues) {
      for (const { id, taken } of queue) if (!taken) this.answers[id] = answer;
      this.queues.set(key, []);
    }
  }

  restore(): void {
    this.discard('reset');
    for (const [key, messages] of this.saved) {
      this.queue(key).push(...messages.map((m) => ({ ...m, port: undefined, taken: true })));
    }
  }

  /** What `save()` would return, by SINT. */
  snapshot(): Snapshot {
    return [...this.queues]
      .map(([key, queue]): Snapshot[number] => [
        key,
        queue.filter(({ taken }) => taken).map(({ id, type }) => ({ id, type })),
      ])
      .filter(([, messages]) => messages.length > 0)
      .sort(byKey);
  }

  /** Which SINTs of a VP something waits for. */
  requested(vp: number): number {
    return sints
      .filter((sint) => this.queue(keyOf(vp, sint)).length > 0)
      .reduce((bits, sint) => bits | (1 << sint), 0);
  }
}

const byKey = ([one]: Snapshot[number], [other]: Snapshot[number]): number =>
  one < other ? -1 : 1;

function snapshotOf(saved: SavedGuestMessages): Snapshot {
  return saved.queues
    .map(({ vp, sint, messages }): Snapshot[number] => [
      keyOf(vp, sint),
      messages.map(({ type, payload }) => ({ id: idOf(payload), type })),
    ])
    .sort(byKey);
}

const reasons = new Map<string, Answer>([
  ['ERR_MSHV_MESSAGE_REFUSED', 'refused'],
  ['ERR_MSHV_RESET', 'reset'],
  ['ERR_MSHV_CLOSED', 'closed'],
]);

/** The queues, what was asked of them, and what came of it. */
export class RealMessages {
  readonly guest: ModelledGuest;
  readonly #newQueues: NewQueues;
  #queues: ReturnType<NewQueues>;
  readonly ports: GuestMessagePort[];
  readonly answers: Answer[] = [];
  /** Which port posted which message. */
  readonly posters: number[] = [];
  readonly errors: MshvError[] = [];
  saved: SavedGuestMessages = { queues: [] };

  constructor(guest: ModelledGuest, newQueues: NewQueues) {
    this.guest = guest;
    this.#newQueues = newQueues;
    this.#queues = this.#begin();
    this.ports = ports.map((_, port) => this.#newPort(port, targetsAtFirst));
  }

  get messages(): GuestMessages {
    return this.#queues.messages;
  }

  post(port: number, type: number): void {
    const id = this.answers.length;
    this.posters.push(port);
    const posted = this.ports[port]?.post(type, payloadOf(id));
    if (typeof posted !== 'object') {
      this.answers.push(posted === true && 'taken');
      return;
    }
    this.answers.push('waiting');
    posted.then(
      () => {
        this.answers[id] = 'taken';
      },
      (error: unknown) => {
        const code = error instanceof MshvError ? error.code : '';
        this.answers[id] = reasons.get(code) ?? false;
      },
    );
  }

  renewPort(port: number, targets: readonly number[]): void {
    this.ports[port]?.[Symbol.dispose]();
    this.ports[port] = this.#newPort(port, targets);
  }

  /** Goes on with other queues. */
  transfer(targets: readonly number[]): void {
    this.saved = structuredClone(this.messages.save());
    this.end();
    this.#queues = this.#begin();
    this.messages.restore(this.saved);
    ports.forEach((_, port) => {
      this.ports[port] = this.#newPort(port, targets);
    });
  }

  end(): void {
    this.#queues.end();
  }

  #begin(): ReturnType<NewQueues> {
    return this.#newQueues((error) => this.errors.push(error));
  }

  #newPort(port: number, targets: readonly number[]): GuestMessagePort {
    return this.messages.newPort(0, targets[port] ?? -1, ports[port] ?? -1);
  }
}

async function compare(model: MessageModel, real: RealMessages): Promise<void> {
  await real.guest.notify(real.messages);
  for (const key of model.queues.keys()) model.deliver(key);
  await new Promise(setImmediate);
  expect(real.answers).toEqual(model.answers);
  expect(real.guest.received).toEqual(model.received);
  expect(snapshotOf(real.messages.save())).toEqual(model.snapshot());
  expect(real.messages.size).toBe([...model.queues.values()].flat().length);
  expect(real.errors).toHaveLength(model.reported);
  for (let vp = 0; vp < vps; vp++) expect(real.guest.requested(vp)).toBe(model.requested(vp));
}

type Command = fc.AsyncCommand<MessageModel, RealMessages>;

function command(
  text: string,
  run: (model: MessageModel, real: RealMessages) => void | Promise<void>,
): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      await compare(model, real);
    },
    toString: () => text,
  };
}

const somePort = fc.integer({ min: 0, max: ports.length - 1 });
const someVp = fc.integer({ min: 0, max: vps - 1 });
const someSint = fc.constantFrom(...sints);

function postOne(model: MessageModel, real: RealMessages, port: number, type: number): void {
  const id = model.answers.length;
  const queue = model.queue(model.keyOf(port));
  const waits = [...model.queues.values()]
    .flat()
    .some((message) => message.port === port && !message.taken);
  if (waits) {
    model.answers.push(false);
  } else {
    const taken = queue.filter((message) => message.taken).length < bound;
    model.answers.push(taken ? 'taken' : 'waiting');
    queue.push({ id, type, port, taken });
  }
  real.post(port, type);
}

const post = fc.tuple(somePort, fc.integer({ min: 0, max: 9 })).map(([port, chance]) => {
  const type = chance === 0 ? refusedType : 1;
  return command(`post(${port}, ${type})`, (model, real) => {
    postOne(model, real, port, type);
  });
});

const burst = fc.tuple(somePort, fc.integer({ min: 2, max: 6 })).map(([port, times]) =>
  command(`post(${port}) ${times} times`, (model, real) => {
    for (let i = 0; i < times; i++) {
      postOne(model, real, port, 1);
      model.deliver(model.keyOf(port));
    }
  }),
);

const occupy = fc.tuple(someVp, someSint).map(([vp, sint]) =>
  command(`occupy(${vp}, ${sint})`, (model, real) => {
    const key = keyOf(vp, sint);
    expect(real.guest.occupy(vp, sint)).toBe(!model.slots.has(key));
    if (!model.slots.has(key)) model.slots.set(key, foreignId);
  }),
);

const read = fc.tuple(someVp, someSint).map(([vp, sint]) =>
  command(`read(${vp}, ${sint})`, (model, real) => {
    const key = keyOf(vp, sint);
    const id = model.slots.get(key);
    expect(real.guest.read(vp, sint)).toBe(id !== undefined);
    model.slots.delete(key);
    if (id !== undefined && id !== foreignId) {
      model.received.set(key, [...(model.received.get(key) ?? []), id]);
    }
  }),
);

const retarget = fc.tuple(somePort, someVp).map(([port, vp]) =>
  command(`setTargetVp(${port}, ${vp})`, (model, real) => {
    const from = model.keyOf(port);
    model.targets[port] = vp;
    const to = model.keyOf(port);
    if (from !== to) {
      const queue = model.queue(from);
      model.queues.set(
        from,
        queue.filter((message) => message.port !== port),
      );
      model.take(from);
      model.queue(to).push(...queue.filter((message) => message.port === port));
      model.take(to);
    }
    real.ports[port]?.setTargetVp(vp);
  }),
);

const renew = somePort.map((port) =>
  command(`dispose of ${port} and make it anew`, (model, real) => {
    const key = model.keyOf(port);
    const isLeft = (message: ModelMessage): boolean => message.port === port && !message.taken;
    for (const { id } of model.queue(key).filter(isLeft)) model.answers[id] = 'closed';
    // What was taken belongs to no port any more.
    model.queues.set(
      key,
      model
        .queue(key)
        .filter((message) => !isLeft(message))
        .map((message) => (message.port === port ? { ...message, port: undefined } : message)),
    );
    real.renewPort(port, model.targets);
  }),
);

const save = fc.constant(
  command('save', (model, real) => {
    model.saved = model.snapshot();
    real.saved = structuredClone(real.messages.save());
  }),
);

const restore = fc.constant(
  command('restore', (model, real) => {
    model.restore();
    real.messages.restore(real.saved);
  }),
);

const saveAndRestore = fc.constant(
  command('save and restore at once', (model, real) => {
    model.saved = model.snapshot();
    model.restore();
    real.saved = real.messages.save();
    real.messages.restore(real.saved);
  }),
);

const transfer = fc.constant(
  command('transfer', (model, real) => {
    model.saved = model.snapshot();
    model.restore();
    real.transfer(model.targets);
  }),
);

const reset = fc.constant(
  command('reset', (model, real) => {
    model.discard('reset');
    real.messages.reset();
  }),
);

/** What loses nothing. */
const keeping = [
  ...[post, post, burst, occupy, read, read, retarget, renew],
  ...[saveAndRestore, transfer],
];

const sequences = (commands: fc.Arbitrary<Command>[], maxCommands: number) =>
  // Of up to that many: without the size it would be ten.
  fc.commands(commands, { maxCommands, size: 'max' });

/** Sequences that lose no message. */
export const keepingSequences = (maxCommands: number) => sequences(keeping, maxCommands);

/** Any sequences: a restore forgets what came after its save, a reset everything. */
export const allSequences = (maxCommands: number) =>
  sequences([...keeping, save, restore, reset], maxCommands);

/** Lets the guest take everything, and checks that it has got each message once, and those of a port in their order. */
export async function expectNothingLost(real: RealMessages): Promise<void> {
  const { guest, messages, answers, posters, errors } = real;
  for (let more = true; more;) {
    more = false;
    for (let vp = 0; vp < vps; vp++) {
      for (const sint of sints) {
        if (guest.read(vp, sint)) more = true;
        await guest.notify(messages);
      }
    }
  }
  await new Promise(setImmediate);
  for (const ids of guest.received.values()) {
    ports.forEach((_, port) => {
      const own = ids.filter((id) => posters[id] === port);
      expect(own).toEqual([...own].sort((one, other) => one - other));
    });
  }
  const got = [...guest.received.values()].flat();
  expect(new Set(got).size).toBe(got.length);
  // Each message that was taken has arrived, but for those that were refused and reported.
  const taken = answers.flatMap((answer, id) => (answer === 'taken' ? [id] : []));
  expect(got.filter((id) => !taken.includes(id))).toEqual([]);
  expect(got).toHaveLength(taken.length - errors.length);
  expect(answers).not.toContain('waiting');
  expect(messages.size).toBe(0);
  for (let vp = 0; vp < vps; vp++) expect(guest.requested(vp)).toBe(0);
}
