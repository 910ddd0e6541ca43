import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { hypercalls } from '../../lib/abi/hypercalls.js';
import { x64Registers } from '../../lib/abi/x64-registers.js';
import {
  hvStatusCodes,
  MshvError,
  type Partition,
  PartitionSynic,
  type SynicPartition,
} from '../../lib/index.js';
import { enableSynic } from '../enable-synic.js';
import {
  allSequences,
  bound,
  expectNothingLost,
  foreignId,
  idOf,
  keepingSequences,
  keyOf,
  MessageModel,
  payloadOf,
  RealMessages,
  refusedType,
  vps,
  type ModelledGuest,
} from '../message-model.js';
import { runsToHalt } from '../synic-runs.js';
import { vpOf } from '../vp-of.js';
import { guestSideForTests } from './guest-side-for-tests.js';

// Messages to several SINTs of several VPs, on their way through a SynIC, the driver and the slots of a guest, in
// random sequences against the model of test/message-model.ts: nothing is lost, doubled or reordered, and the VPs'
// registers ask for exactly what is waited for.

const guest = await guestSideForTests();

const notifications = Uint32Array.of(x64Registers.DELIVERABILITY_NOTIFICATIONS);
/** Of the VPs' registers, none of the SINTs'. */
const foreignBits = 2n;

/** The guest of a partition, and what makes SynICs for it. */
class DriverGuest implements ModelledGuest {
  readonly partition: Partition;
  readonly received = new Map<string, number[]>();
  /** The slots with a message. */
  readonly #full = new Set<string>();
  #synic: PartitionSynic | undefined;
  #runs = 0;

  constructor() {
    this.partition = guest.createPartition(vps);
    for (let vp = 0; vp < vps; vp++) {
      enableSynic(this.partition, vp);
      this.partition.setRegisters(vp, notifications, BigUint64Array.of(foreignBits, 0n));
    }
  }

  newSynic(onError: (error: MshvError) => void): PartitionSynic {
    const { partition } = this;
    const refusing: SynicPartition = {
      hasVp: (index) => partition.hasVp(index),
      postMessageDirect: (message) => {
        const key = keyOf(message.vp, message.sint);
        if (message.type === refusedType && !this.#full.has(key)) {
          const { code } = hypercalls.HVCALL_POST_MESSAGE_DIRECT;
          guest.refuse(code, hvStatusCodes.HV_STATUS_INVALID_PARAMETER);
        }
        partition.postMessageDirect(message);
        this.#full.add(key);
      },
      signalEventDirect: (event) => partition.signalEventDirect(event),
      getRegisters: (...args) => partition.getRegisters(...args),
      setRegisters: (...args) => {
        partition.setRegisters(...args);
      },
      installIntercept: (intercept) => {
        partition.installIntercept(intercept);
      },
    };
    return (this.#synic = new PartitionSynic(refusing, {
      native: guest.native,
      memory: { read: (gpa, into) => partition.readMemory(gpa, into) },
      messageBound: bound,
      onError,
    }));
  }

  occupy(vp: number, sint: number): boolean {
    try {
      this.partition.postMessageDirect({ vp, sint, type: 1, payload: payloadOf(foreignId) });
      this.#full.add(keyOf(vp, sint));
      return true;
    } catch (error) {
      const status = error instanceof MshvError ? error.hvStatus?.code : undefined;
      if (status !== hvStatusCodes.HV_STATUS_OBJECT_IN_USE) throw error;
      return false;
    }
  }

  read(vp: number, sint: number): boolean {
    const message = guest.takeMessage(this.partition, vp, sint);
    if (message === undefined) return false;
    const key = keyOf(vp, sint);
    this.#full.delete(key);
    const id = idOf(message.head);
    if (id !== foreignId) {
      this.received.set(key, [...(this.received.get(key) ?? []), id]);
    }
    return true;
  }

  requested(vp: number): number {
    const [value = 0n] = this.partition.getRegisters(vp, notifications);
    expect(BigInt.asUintN(48, value)).toBe(foreignBits);
    return Number(value >> 48n);
  }

  /** Runs each VP until it halts and has told of nothing before, the one way or the other. */
  async notify(): Promise<void> {
    if (this.#synic === undefined) return;
    for (let vp = 0; vp < vps; vp++) {
      for (let handled = 1; handled > 0;) {
        const [, run] = runsToHalt[this.#runs++ % runsToHalt.length] ?? [];
        if (run === undefined) throw new Error('there is no way to run');
        handled = (await run(guest, this.partition, vpOf(this.partition, vp), this.#synic)).length;
      }
    }
  }
}

interface State {
  readonly driver: DriverGuest;
  readonly model: MessageModel;
  readonly real: RealMessages;
}

function setUp(): State {
  const driver = new DriverGuest();
  const real = new RealMessages(driver, (onError) => {
    const synic = driver.newSynic(onError);
    const attached = Array.from({ length: vps }, (_, vp) => synic.attachVp(vp));
    return {
      messages: synic.messages,
      end: () => {
        synic[Symbol.dispose]();
        for (const one of attached) one[Symbol.dispose]();
      },
    };
  });
  return { driver, model: new MessageModel(), real };
}

/** Runs a sequence of commands, then looks, and ends the partition. */
async function perform(
  sequence: Iterable<fc.AsyncCommand<MessageModel, RealMessages>>,
  look: (real: RealMessages) => Promise<void>,
): Promise<void> {
  const state = setUp();
  try {
    await fc.asyncModelRun(() => state, sequence);
    await look(state.real);
  } finally {
    state.real.end();
    state.driver.partition.close();
  }
}

const seed = Number(process.env['MSHV_TEST_SEED'] ?? 20_261_121);
const runs = { simulator: 60, lab: 5 };
const length = { simulator: 60, lab: 30 };

it('agrees with lists after any sequence of calls', async () => {
  await fc.assert(
    fc.asyncProperty(allSequences(length[guest.backend]), (sequence) =>
      perform(sequence, () => Promise.resolve()),
    ),
    { numRuns: runs[guest.backend], seed },
  );
});

it('loses, doubles and reorders nothing, whatever is retargeted, restored and transferred', async () => {
  await fc.assert(
    fc.asyncProperty(keepingSequences(length[guest.backend]), (sequence) =>
      perform(sequence, expectNothingLost),
    ),
    { numRuns: runs[guest.backend], seed: seed + 1 },
  );
});
