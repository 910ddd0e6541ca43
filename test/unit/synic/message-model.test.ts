import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { MshvError } from '../../../lib/index.js';
import { GuestMessages, type SavedGuestMessages } from '../../../lib/synic/guest-messages.js';
import type { GuestMessagePort } from '../../../lib/synic/guest-ports.js';
import { MessageGuest, payloadOf, refusedType } from './message-guest.js';

// Random sequences of posts, busy slots, reads, retargets, saves, restores and resets against a model of one
// list for each SINT. After every step the queues hold what the model holds, each post has been answered as the
// model says, and the guest has got what the model's has, in that order.

const vps = 3;
const sints = [2, 15];
const bound = 3;
const ports = [2, 2, 2, 15, 15];

type Answer = 'taken' | 'waiting' | 'refused' | 'reset' | 'closed' | false;

interface ModelMessage {
  readonly id: number;
  readonly type: number;
  readonly port: number | undefined;
  taken: boolean;
}

const targetsAtFirst = ports.map(() => 0);

class Model {
  readonly queues = new Map<string, ModelMessage[]>();
  readonly slots = new Map<string, number>();
  readonly received = new Map<string, number[]>();
  readonly answers: Answer[] = [];
  readonly targets = [...targetsAtFirst];
  reported = 0;
  saved: [key: string, messages: { id: number; type: number }[]][] = [];

  queue(key: string): ModelMessage[] {
    const queue = this.queues.get(key) ?? [];
    this.queues.set(key, queue);
    return queue;
  }

  keyOf(port: number): string {
    return `${this.targets[port] ?? ''}:${ports[port] ?? ''}`;
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
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      if (head.type === refusedType) {
        if (head.taken) this.reported++;
        else this.answers[head.id] = 'refused';
      } else {
        if (this.slots.has(key)) return;
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

  /** What `save()` would return, by SINT. */
  snapshot(): [string, { id: number; type: number }[]][] {
    return [...this.queues]
      .map(([key, queue]): [string, { id: number; type: number }[]] => [
        key,
        queue.filter(({ taken }) => taken).map(({ id, type }) => ({ id, type })),
      ])
      .filter(([, messages]) => messages.length > 0)
      .sort(([one], [other]) => (one < other ? -1 : 1));
  }
}

interface Real {
  readonly guest: MessageGuest;
  readonly messages: GuestMessages;
  readonly ports: GuestMessagePort[];
  readonly answers: Answer[];
  /** Which port posted which message. */
  readonly posters: number[];
  readonly errors: MshvError[];
  saved: SavedGuestMessages;
}

function snapshotOf(saved: SavedGuestMessages): [string, { id: number; type: number }[]][] {
  return saved.queues
    .map(({ vp, sint, messages }): [string, { id: number; type: number }[]] => [
      `${vp}:${sint}`,
      messages.map(({ type, payload }) => ({
        id: (payload[0] ?? 0) | ((payload[1] ?? 0) << 8),
        type,
      })),
    ])
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

async function compare(model: Model, real: Real): Promise<void> {
  real.guest.notify(real.messages);
  for (const key of model.queues.keys()) model.deliver(key);
  await new Promise(setImmediate);
  expect(real.answers).toEqual(model.answers);
  expect(real.guest.received).toEqual(model.received);
  expect(snapshotOf(real.messages.save())).toEqual(model.snapshot());
  expect(real.messages.size).toBe([...model.queues.values()].flat().length);
  expect(real.errors).toHaveLength(model.reported);
}

type Command = fc.AsyncCommand<Model, Real>;

function command(text: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      run(model, real);
      await compare(model, real);
    },
    toString: () => text,
  };
}

const somePort = fc.integer({ min: 0, max: ports.length - 1 });
const someVp = fc.integer({ min: 0, max: vps - 1 });
const someSint = fc.constantFrom(...sints);

function postOne(model: Model, real: Real, port: number, type: number): void {
  const id = model.answers.length;
  const key = model.keyOf(port);
  const queue = model.queue(key);
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
  real.posters.push(port);
  const posted = real.ports[port]?.post(type, payloadOf(id));
  if (posted === true || posted === false) {
    real.answers.push(posted && 'taken');
    return;
  }
  real.answers.push('waiting');
  const reasons = new Map<string, Answer>([
    ['ERR_MSHV_MESSAGE_REFUSED', 'refused'],
    ['ERR_MSHV_RESET', 'reset'],
    ['ERR_MSHV_CLOSED', 'closed'],
  ]);
  posted?.then(
    () => {
      real.answers[id] = 'taken';
    },
    (error: unknown) => {
      const code = error instanceof MshvError ? error.code : '';
      real.answers[id] = reasons.get(code) ?? false;
    },
  );
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
    const key = `${vp}:${sint}`;
    expect(real.guest.occupy(vp, sint)).toBe(!model.slots.has(key));
    if (!model.slots.has(key)) model.slots.set(key, -1);
  }),
);

const read = fc.tuple(someVp, someSint).map(([vp, sint]) =>
  command(`read(${vp}, ${sint})`, (model, real) => {
    const key = `${vp}:${sint}`;
    const id = model.slots.get(key);
    expect(real.guest.read(vp, sint)).toBe(id !== undefined);
    model.slots.delete(key);
    if (id !== undefined && id >= 0) {
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
    real.ports[port]?.[Symbol.dispose]();
    real.ports[port] = real.messages.newPort(0, model.targets[port] ?? 0, ports[port] ?? 0);
  }),
);

const save = fc.constant(
  command('save', (model, real) => {
    model.saved = model.snapshot();
    real.saved = structuredClone(real.messages.save());
  }),
);

function restoreBoth(model: Model, real: Real): void {
  model.discard('reset');
  for (const [key, messages] of model.saved) {
    model.queue(key).push(...messages.map((m) => ({ ...m, port: undefined, taken: true })));
  }
  real.messages.restore(real.saved);
}

const restore = fc.constant(command('restore', restoreBoth));

const saveAndRestore = fc.constant(
  command('save and restore at once', (model, real) => {
    model.saved = model.snapshot();
    real.saved = real.messages.save();
    restoreBoth(model, real);
  }),
);

const reset = fc.constant(
  command('reset', (model, real) => {
    model.discard('reset');
    real.messages.reset();
  }),
);

function setUp(): { model: Model; real: Real } {
  const guest = new MessageGuest(vps);
  const errors: MshvError[] = [];
  const messages = new GuestMessages(guest, { bound, onError: (error) => errors.push(error) });
  for (let vp = 0; vp < vps; vp++) messages.attachVp(vp, guest.owner(vp));
  const made = ports.map((sint, port) => messages.newPort(0, targetsAtFirst[port] ?? 0, sint));
  const real = {
    guest,
    messages,
    ports: made,
    answers: [],
    posters: [],
    errors,
    saved: { queues: [] },
  };
  return { model: new Model(), real };
}

const posting = [post, post, burst, occupy, read, read, retarget, renew];

it('agrees with lists after any sequence of calls', async () => {
  const all = fc.commands([...posting, save, restore, saveAndRestore, reset], { maxCommands: 80 });
  await fc.assert(
    fc.asyncProperty(all, (sequence) => fc.asyncModelRun(setUp, sequence)),
    { numRuns: 400, seed: 4 },
  );
});

it('loses, doubles and reorders nothing, whatever is retargeted and restored', async () => {
  const all = fc.commands([...posting, saveAndRestore], { maxCommands: 80 });
  await fc.assert(
    fc.asyncProperty(all, async (sequence) => {
      let state = setUp();
      await fc.asyncModelRun(() => (state = setUp()), sequence);
      const { guest, messages, answers, posters, errors } = state.real;
      for (let more = true; more;) {
        more = false;
        for (let vp = 0; vp < vps; vp++) {
          for (const sint of sints) {
            if (guest.read(vp, sint)) more = true;
            guest.notify(messages);
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
    }),
    { numRuns: 150, seed: 5 },
  );
});
