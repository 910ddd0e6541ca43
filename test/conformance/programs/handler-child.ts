import { setImmediate } from 'node:timers/promises';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import {
  EventFd,
  GuestMemory,
  hvStatusCodes,
  PartitionSynic,
  SynicPorts,
} from '../../../lib/index.js';
import { enableSynic } from '../../enable-synic.js';
import {
  hypercallMessage,
  postMessageInput,
  retargetInput,
  signalEventInput,
} from '../../guest-hypercall.js';
import { openGuestSide } from '../../guest-side.js';
import type { HandlerEnd, HandlerName } from '../../handler-ends.js';
import { vpOf } from '../../vp-of.js';

// A process that has one of everything, and ends inside one of the functions that the library calls, for
// handler-ends.test.ts: node handler-child.js HANDLER END. It says on stdout that the function is called.

const say = (...words: unknown[]): void => {
  process.stdout.write(`${words.join(' ')}\n`);
};

const hypercallCodes = { post: 0x5c, signal: 0x5d, retarget: 0x7e, own: 0x4321 };
const nobody = (): Error => new Error('nobody catches this');

const ends: Record<HandlerEnd, () => void> = {
  exits: () => process.exit(7),
  throws: () => {
    throw nobody();
  },
  'throws later': () => {
    queueMicrotask(() => {
      throw nobody();
    });
  },
  'leaves a rejection': () => {
    void Promise.reject(nobody());
  },
  'is terminated': () => {
    process.kill(process.pid, 'SIGTERM');
  },
  'is killed': () => {
    process.kill(process.pid, 'SIGKILL');
  },
};

const [, , handler, how] = process.argv;
const act = ends[how as HandlerEnd];
const end = (): void => {
  say('called');
  act();
};

const guest = await openGuestSide();
const { native } = guest;
const partition = guest.createPartition(2);
const [vp, other] = [vpOf(partition, 0), vpOf(partition, 1)];
const memory = GuestMemory.allocate(3 * 4096, { native });
const monitorPage = 4096;
partition.mapMemory(memory, { gpa: 0 });
const synic = new PartitionSynic(partition, {
  native,
  messageBound: 1,
  monitorPages: [BigInt(monitorPage)],
  retargetDeviceInterrupt: () => {
    if (handler === 'an answer to a retarget') end();
    return hvStatusCodes.HV_STATUS_SUCCESS;
  },
  onError: ({ code }) => {
    if (handler === 'a listener of failures') {
      end();
      return;
    }
    say('reported', code);
    process.exit(8);
  },
});
const ports = new SynicPorts(synic);
synic.installIntercepts();
synic.attachVp(0);
enableSynic(partition, 0);

// What goes on beside it: a VP that runs, what is watched, armed and open.
const busy = other.start(() => undefined);
partition.registerDoorbell({ gpa: 0xd000_1000n }).event.watch(() => undefined);
partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x40 } });
GuestMemory.allocate(4096, { native, shared: true }).write(0, Uint8Array.of(1));
say('begins', busy.ended);

/** Runs the VP, whose guest makes a hypercall. */
function runTo(message: Uint8Array): void {
  guest.queueMessage(partition, 0, message);
  void vp.start((exit) => {
    synic.handleExit(vp, exit);
  });
}

function postTo(handleMessage: () => unknown): void {
  ports.addMessagePort(2, 0, { handleMessage });
  memory.write(0, postMessageInput(2, Uint8Array.of(1, 2, 3)));
  runTo(hypercallMessage({ code: hypercallCodes.post, input: 0n }));
}

const halt = encodeMessage('halt', { vpIndex: 0 });

const handlers: Record<HandlerName, () => void | Promise<void>> = {
  'a handler of exits': () => {
    guest.queueMessage(partition, 0, halt);
    void vp.start(end);
  },
  'an asynchronous handler of exits': () => {
    guest.queueMessage(partition, 0, halt);
    void vp.start(async () => {
      await setImmediate();
      end();
    });
  },
  'a loop of run()': () => {
    guest.queueMessage(partition, 0, halt);
    vp.run();
    end();
  },
  'what waits for the end of a run': async () => {
    guest.queueMessage(partition, 0, halt);
    await vp.start(() => 'stop').finished;
    end();
  },
  'a listener of an eventfd': () => {
    const event = EventFd.create({ native, initial: 1 });
    event.watch(end);
  },
  'an iteration over an eventfd': async () => {
    const event = EventFd.create({ native, initial: 1 });
    for await (const count of event) {
      if (count === 1n) end();
    }
  },
  'a listener of a doorbell': () => {
    partition.registerDoorbell({ gpa: 0xd000_0000n }).event.watch(end);
    guest.writeMmio(partition, 0xd000_0000n, 4, 1n);
  },
  'a listener of a masked route': () => {
    const msi = { address: 0xfee00000n, data: 0x41 };
    const { event } = partition.irqfd.newRoute({ msi, masked: true });
    event.watch(end);
    event.signal();
  },
  'a listener of the end of an interrupt': () => {
    const msi = { address: 0xfee00000n, data: 0xc042 };
    const { event, resampleEvent } = partition.irqfd.newResampleRoute({ vector: 0x42, msi });
    resampleEvent?.watch(end);
    event.signal();
    guest.interrupts(partition);
    guest.endOfInterrupt(partition, 0, 0x42);
  },
  'a port for messages': () => {
    postTo(end);
  },
  'a port for messages that answers later': () => {
    postTo(async () => {
      await setImmediate();
      end();
    });
  },
  'a port for events': () => {
    ports.addEventPort(1, 0, { handleEvent: end });
    const input = signalEventInput(1, 0);
    runTo(hypercallMessage({ code: hypercallCodes.signal, fast: true, input }));
  },
  'a port for events of a monitor': () => {
    ports.addEventPort(1, 0, { handleEvent: end }, { monitorId: 3, latency: 0 });
    ports.monitorSupport?.allocateMonitorPage(0);
    const view = new Int32Array(memory.buffer, monitorPage);
    view[2] = 1 << 3;
    view[0] = 1;
  },
  'a hypercall of the VMM': () => {
    synic.hypercalls.add({
      code: hypercallCodes.own,
      name: 'HvMine',
      inputSize: 8,
      handle: () => {
        end();
        return hvStatusCodes.HV_STATUS_SUCCESS;
      },
    });
    runTo(hypercallMessage({ code: hypercallCodes.own, fast: true }));
  },
  'an answer to a retarget': () => {
    memory.write(0, retargetInput({ flags: 1, maskOrFormat: 1n }));
    runTo(hypercallMessage({ code: hypercallCodes.retarget, input: 0n }));
  },
  'what waits for a free slot': async () => {
    runTo(halt);
    const port = ports.newGuestMessagePort(0, 0, 2);
    const posted = [1, 2, 3].map(() => port.post(1, Uint8Array.of(1)));
    guest.takeMessage(partition, 0, 2);
    await posted[2];
    end();
  },
  'a listener of failures': () => {
    postTo(() => {
      throw new Error('which is reported');
    });
  },
};

await handlers[handler as HandlerName]();
