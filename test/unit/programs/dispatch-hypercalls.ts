import { getHeapStatistics } from 'node:v8';

import { InterceptMessages } from '../../../lib/abi/intercepts.js';
import { messageLayout } from '../../../lib/abi/message-types.js';
import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { GuestMessages } from '../../../lib/synic/guest-messages.js';
import { HypercallDispatcher } from '../../../lib/synic/hypercall-dispatcher.js';
import { SynicPortMap } from '../../../lib/synic/synic-port-map.js';
import {
  hypercall,
  hypercallMessage,
  postMessageInput,
  signalEventInput,
  SmallMemory,
} from '../../guest-hypercall.js';

// Dispatches a million hypercalls and prints by how many bytes the heap grew, how often the handlers were
// called and memory was read, and how many nanoseconds a call took. `signal`: fast events, in a young generation that holds all of
// what could be allocated. `message`: messages that are answered at once or later, with the garbage collected before
// and after. `refused`: the same for hypercalls of which no two are alike, and that are nobody's or wrong. `queue`: the
// same for messages to the guest, through a queue that is never empty.

const calls = 1_000_000;
const memory = new SmallMemory();
const portMap = new SynicPortMap();
const dispatcher = new HypercallDispatcher({ portMap, memory });
let handled = 0;
portMap.addEventPort(2, 0, {
  handleEvent: (flag) => {
    handled += flag === 0 ? 1 : 0;
  },
});
portMap.addMessagePort(1, 0, {
  handleMessage: (message) => {
    handled++;
    return message[0] === 0 ? Promise.resolve() : undefined;
  },
});

function heap(): number {
  // What typed arrays hold is beside the heap.
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  return used + external;
}

/** More than once: what one collection finds may keep something else alive until the next. */
function collect(): void {
  for (let i = 0; i < 4; i++) global.gc?.();
}

/** What work takes, and how much more there is after it once the garbage is gone. */
async function measure(work: () => void | Promise<void>): Promise<void> {
  collect();
  const before = heap();
  const started = process.hrtime.bigint();
  await work();
  collect();
  report(before, started);
}

function report(before: number, started: bigint): void {
  const nanoseconds = Number(process.hrtime.bigint() - started) / calls;
  const { reads } = memory;
  process.stdout.write(
    `${JSON.stringify({ growth: heap() - before, handled, reads, nanoseconds })}\n`,
  );
}

function signal(): void {
  const intercept = hypercallMessage({ code: 0x5d, fast: true, input: signalEventInput(2, 0) });
  const messages = new InterceptMessages(intercept, 'x64');
  const dispatch = (times: number): void => {
    for (let i = 0; i < times; i++) {
      const exit = messages.current;
      if (exit.type === 'hypercall') dispatcher.dispatch(exit);
    }
  };
  // Until V8 has compiled it for good.
  for (let i = 0; i < 20; i++) dispatch(20_000);
  handled = 0;
  const before = heap();
  const started = process.hrtime.bigint();
  dispatch(calls);
  report(before, started);
}

async function message(): Promise<void> {
  const exit = hypercall({ code: 0x5c, input: 0x2000n });
  const input = postMessageInput(1, new Uint8Array(240));
  const dispatch = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) {
      new DataView(input.buffer).setUint32(16, i, true);
      memory.bytes.set(input, 0x2000);
      while (dispatcher.dispatch(exit).status !== 0) await Promise.resolve();
    }
  };
  await dispatch(0, 100_000);
  await measure(() => dispatch(100_000, calls));
}

async function refused(): Promise<void> {
  const bytes = hypercallMessage({ code: 0 });
  const messages = new InterceptMessages(bytes, 'x64');
  const registers = new DataView(bytes.buffer, messageLayout.payload);
  let number = 1n;
  const dispatch = (times: number): void => {
    for (let i = 0; i < times; i++) {
      // A generator of 64-bit numbers (xorshift): always the same ones.
      number ^= BigInt.asUintN(64, number << 13n);
      number ^= number >> 7n;
      number ^= BigInt.asUintN(64, number << 17n);
      registers.setUint8(7, Number(number & 7n));
      // Every second one has a code of ours, no list and an aligned input; every fourth no variable header either.
      const header = i % 4 === 1 ? number & 0x7fe_0000n : 0n;
      const known = 0x5cn | (number >> 63n) | header;
      registers.setBigUint64(56, i % 2 === 0 ? number : known, true);
      registers.setBigUint64(64, i % 2 === 0 ? number >> BigInt(i % 64) : number & 0x1_fff8n, true);
      registers.setBigUint64(72, number, true);
      const exit = messages.current;
      if (exit.type !== 'hypercall') throw new Error(exit.type);
      handled += dispatcher.dispatch(exit).status === 0 ? 0 : 1;
    }
  };
  memory.bytes.forEach((_, at) => {
    memory.bytes[at] = (at * 31) >> 3;
  });
  dispatch(100_000);
  handled = 0;
  await measure(() => {
    dispatch(calls);
  });
}

async function queue(): Promise<void> {
  let isFree = false;
  const guest = {
    hasVp: () => true,
    postMessage: () => {
      if (!isFree) return hvStatusCodes.HV_STATUS_OBJECT_IN_USE;
      isFree = false;
      handled++;
      return hvStatusCodes.HV_STATUS_SUCCESS;
    },
  };
  const messages = new GuestMessages(guest);
  messages.attachVp(0, { setDeliverabilityNotifications: () => undefined });
  const payload = new Uint8Array(16);
  const post = (times: number): void => {
    for (let i = 0; i < times; i++) {
      if (messages.postMessage(0, 0, 2, 1, payload) !== true) throw new Error('the queue is full');
      if (messages.size < 10) continue;
      isFree = true;
      messages.sintsDeliverable(0, 0, 1 << 2);
    }
  };
  post(100_000);
  handled = 0;
  await measure(() => {
    post(calls);
  });
}

switch (process.argv[2]) {
  case 'queue':
    await queue();
    break;
  case 'signal':
    signal();
    break;
  case 'refused':
    await refused();
    break;
  default:
    await message();
}
