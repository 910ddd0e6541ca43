import { parentPort, workerData } from 'node:worker_threads';

import {
  GuestMemory,
  type GuestMemoryToken,
  PartitionSynic,
  Vp,
  type VpToken,
} from '../lib/index.js';
import { linuxNative } from '../lib/native.js';
import { simNative } from '../lib/sim/sim-native.js';

// Runs a VP with vp.run() and handles its hypercalls, until it stops with something else; sends its first message
// back by SINT 1, and so on. Says 'ready' when it begins, and then what there was.

/** What the thread is started with. */
export interface SynicWork {
  readonly backend: 'simulator' | 'lab';
  readonly vp: VpToken;
  /** The guest's memory, all of it, and where that is. */
  readonly memory: GuestMemoryToken;
  readonly gpa: bigint;
  readonly messageConnection: number;
  readonly eventConnection: number;
}

/** What it says at the end. */
export interface SynicWorkReport {
  readonly messages: readonly Uint8Array[];
  readonly flags: readonly number[];
  /** What else the VP stopped with. */
  readonly end: string;
}

function work({
  backend,
  gpa,
  messageConnection,
  eventConnection,
  ...tokens
}: SynicWork): SynicWorkReport {
  const native = backend === 'simulator' ? simNative() : linuxNative();
  using vp = Vp.receive(tokens.vp, { native });
  using memory = GuestMemory.receive(tokens.memory, { native });
  using synic = new PartitionSynic(vp.partition, {
    native,
    memory: {
      read: (at, into) => {
        const offset = at - gpa;
        if (offset < 0n || offset + BigInt(into.length) > BigInt(memory.size)) return false;
        into.set(memory.bytes(offset, into.length));
        return true;
      },
    },
  });
  const messages: Uint8Array[] = [];
  const flags: number[] = [];
  synic.portMap.addMessagePort(messageConnection, 0, {
    handleMessage: (message) => {
      messages.push(message);
      void synic.postMessage(0, vp.index, messages.length, 1, message);
    },
  });
  synic.portMap.addEventPort(eventConnection, 0, {
    handleEvent: (flag) => {
      flags.push(flag);
    },
  });
  synic.installIntercepts();
  parentPort?.postMessage('ready');
  for (;;) {
    const exit = vp.run();
    if (exit === undefined || !synic.handleExit(vp, exit)) {
      return { messages, flags, end: exit?.type ?? 'canceled' };
    }
  }
}

parentPort?.postMessage(work(workerData as SynicWork));
