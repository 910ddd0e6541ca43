import { hvStatusCodes } from '../lib/abi/hv-status.js';
import { Simulator } from '../lib/sim/index.js';
import { GuestMessages } from '../lib/synic/guest-messages.js';
import { HypercallDispatcher } from '../lib/synic/hypercall-dispatcher.js';
import { PartitionSynic } from '../lib/synic/partition-synic.js';
import { SynicPortMap } from '../lib/synic/synic-port-map.js';
import {
  hypercall,
  postMessageInput,
  signalEventInput,
  SmallMemory,
} from '../test/guest-hypercall.js';
import type { Line } from './line.js';
import { compare, interleave, timed } from './rounds.js';

const connectionId = 2;
const payload = new Uint8Array(240).fill(0x5a);
const { HV_STATUS_SUCCESS, HV_STATUS_OBJECT_IN_USE } = hvStatusCodes;

/** The guest's posts and signals, and posts to the guest, against what little each does at the least. */
export async function synicLines(): Promise<Line[]> {
  return [
    await signalLine(),
    await messageLine(),
    await portsLine(),
    await postLine(),
    await queueLine(),
    await exitLine(),
  ];
}

/** Both sides do something `times` times in turn. */
async function measured(
  rounds: number,
  times: number,
  ours: (times: number) => void,
  baseline: (times: number) => void,
): Promise<ReturnType<typeof compare>> {
  const each = (work: (times: number) => void): number =>
    timed(() => {
      work(times);
    }) / times;
  return compare(
    await interleave(
      rounds,
      () => each(ours),
      () => each(baseline),
    ),
  );
}

function succeeded(status: number): void {
  if (status !== HV_STATUS_SUCCESS) {
    throw new Error(`the hypercall ended with status 0x${status.toString(16)}`);
  }
}

async function signalLine(): Promise<Line> {
  let handled = 0;
  const port = {
    handleEvent: (flag: number): void => {
      handled += flag;
    },
  };
  const portMap = new SynicPortMap();
  portMap.addEventPort(connectionId, 0, port);
  const dispatcher = new HypercallDispatcher({ portMap, memory: new SmallMemory() });
  const exit = hypercall({ code: 0x5d, fast: true, input: signalEventInput(connectionId, 1) });
  const plain = new Map([[connectionId, port]]);
  const input = new DataView(signalEventInput(connectionId, 1).buffer);
  const times = 50_000;
  const rounds = 60;
  const line = await measured(
    rounds,
    times,
    (count) => {
      for (let i = 0; i < count; i++) {
        succeeded(dispatcher.dispatch(exit).status);
      }
    },
    (count) => {
      for (let i = 0; i < count; i++) {
        plain.get(input.getUint32(0, true))?.handleEvent(input.getUint16(4, true));
      }
    },
  );
  if (handled !== 2 * times * (rounds + rounds / 5)) {
    throw new Error(`${handled} signals were handled`);
  }
  return {
    name: 'dispatch of a fast HvSignalEvent',
    against: 'the same port, looked up in a plain Map and called',
    limit: 300,
    ...line,
  };
}

async function messageLine(): Promise<Line> {
  let handled = 0;
  const port = {
    handleMessage: (message: Uint8Array): void => {
      handled += message.length;
    },
  };
  const portMap = new SynicPortMap();
  portMap.addMessagePort(connectionId, 0, port);
  const memory = new SmallMemory();
  const input = 0x2000;
  memory.bytes.set(postMessageInput(connectionId, payload), input);
  const dispatcher = new HypercallDispatcher({ portMap, memory });
  const exit = hypercall({ code: 0x5c, input: BigInt(input) });
  const plain = new Map([[connectionId, port]]);
  const words = new DataView(memory.bytes.buffer, input);
  const times = 20_000;
  const rounds = 60;
  const line = await measured(
    rounds,
    times,
    (count) => {
      for (let i = 0; i < count; i++) {
        succeeded(dispatcher.dispatch(exit).status);
      }
    },
    (count) => {
      for (let i = 0; i < count; i++) {
        const size = words.getUint32(12, true);
        plain
          .get(words.getUint32(0, true))
          ?.handleMessage(memory.bytes.slice(input + 16, input + 16 + size));
      }
    },
  );
  if (handled !== 2 * times * (rounds + rounds / 5) * payload.length) {
    throw new Error(`${handled} bytes were handled`);
  }
  return {
    name: `dispatch of HvPostMessage, ${payload.length} bytes`,
    against: 'the same port, looked up in a plain Map and called with a copy',
    ...line,
  };
}

async function portsLine(): Promise<Line> {
  const few = 10;
  const many = 10_000;
  // The same number of ids on both sides, so that the processor's caches do not make the difference.
  const signal = (ports: number): ((times: number) => void) => {
    const portMap = new SynicPortMap();
    const handleEvent = (): void => undefined;
    for (let id = 0; id < ports; id++) {
      portMap.addEventPort(id, 0, { handleEvent });
    }
    const ids = Uint32Array.from({ length: few }, (_, i) => (i * ports) / few);
    return (times) => {
      for (let i = 0; i < times; i++) {
        succeeded(portMap.handleSignalEvent(0, ids[i % few] ?? 0, 0));
      }
    };
  };
  return {
    name: `signal of one of ${many} connections`,
    against: `signal of one of ${few} connections`,
    note: `${few} of them in turn on either side`,
    ...(await measured(60, 50_000, signal(many), signal(few))),
  };
}

async function postLine(): Promise<Line> {
  const partition = { hasVp: () => true, postMessage: () => HV_STATUS_SUCCESS };
  const port = new GuestMessages(partition).newPort(0, 0, 2);
  return {
    name: `GuestMessagePort.post(), ${payload.length} bytes`,
    against: "the partition's postMessage (a stub) with a copy",
    ...(await measured(
      60,
      20_000,
      (times) => {
        for (let i = 0; i < times; i++) {
          if (port.post(1, payload) !== true) {
            throw new Error('a message was not taken');
          }
        }
      },
      stubPosts(partition),
    )),
  };
}

async function queueLine(): Promise<Line> {
  const bound = 64;
  const sint = 2;
  let slotIsFree = false;
  const partition = {
    hasVp: () => true,
    postMessage: () => {
      if (!slotIsFree) {
        return HV_STATUS_OBJECT_IN_USE;
      }
      slotIsFree = false;
      return HV_STATUS_SUCCESS;
    },
  };
  const messages = new GuestMessages(partition, { bound });
  messages.attachVp(0, { setDeliverabilityNotifications: () => undefined });
  const port = messages.newPort(0, 0, sint);
  return {
    name: `${bound} queued, delivered one by one`,
    against: "the partition's postMessage (a stub) with a copy",
    ...(await measured(
      60,
      100 * bound,
      (times) => {
        for (let left = times; left > 0; left -= bound) {
          slotIsFree = false;
          for (let i = 0; i < bound; i++) {
            if (port.post(1, payload) !== true) {
              throw new Error('a message was not taken');
            }
          }
          while (messages.size > 0) {
            slotIsFree = true;
            messages.sintsDeliverable(0, 0, 1 << sint);
          }
        }
      },
      stubPosts({ postMessage: () => HV_STATUS_SUCCESS }),
    )),
  };
}

/** What the queues do for a message at the least. */
function stubPosts(partition: {
  postMessage: (vtl: number, vp: number, sint: number, type: number, payload: Uint8Array) => number;
}): (times: number) => void {
  return (times) => {
    for (let i = 0; i < times; i++) {
      succeeded(partition.postMessage(0, 0, 2, 1, new Uint8Array(payload)));
    }
  };
}

/** The guest signals, and its VP runs on, on the simulator: what remains is the binding. */
async function exitLine(): Promise<Line> {
  const simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  const memory = partition.allocateMemory(4096);
  partition.mapMemory(memory, { gpa: 0 });
  const vp = partition.createVp(0);
  const guest = simulator.guest(partition, 0);
  const synic = new PartitionSynic(partition);
  synic.installIntercepts();
  let handled = 0;
  synic.portMap.addEventPort(connectionId, 0, {
    handleEvent: () => {
      handled++;
    },
  });
  const times = 2000;
  const rounds = 40;
  const signals = (): void => {
    for (let i = 0; i < times; i++) {
      guest.hypercall(0x1_005d, connectionId);
    }
  };
  const ours = (): number => {
    signals();
    return timed(() => {
      for (let i = 0; i < times; i++) {
        const exit = vp.run();
        if (exit === undefined || !synic.handleExit(vp, exit)) {
          throw new Error(`the guest left with ${exit?.type ?? 'nothing'}`);
        }
      }
    });
  };
  const success = { status: HV_STATUS_SUCCESS };
  const baseline = (): number => {
    signals();
    return timed(() => {
      for (let i = 0; i < times; i++) {
        const exit = vp.run();
        if (exit?.type !== 'hypercall') {
          throw new Error(`the guest left with ${exit?.type ?? 'nothing'}`);
        }
        vp.completeHypercall(exit, success);
      }
    });
  };
  const line = compare(
    await interleave(
      rounds,
      () => ours() / times,
      () => baseline() / times,
    ),
  );
  if (handled !== times * (rounds + rounds / 5)) {
    throw new Error(`${handled} signals were handled`);
  }
  synic.close();
  simulator.close();
  memory.close();
  return {
    name: 'exit of HvSignalEvent, handled',
    against: 'the same exit, completed with success at once; the simulated driver',
    ...line,
  };
}
