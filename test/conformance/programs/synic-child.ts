import { setImmediate } from 'node:timers/promises';

import { EventFd, GuestMemory, PartitionSynic, SynicPorts } from '../../../lib/index.js';
import { enableSynic } from '../../enable-synic.js';
import { hypercallMessage, postMessageInput } from '../../guest-hypercall.js';
import { openGuestSide } from '../../guest-side.js';
import { vpOf } from '../../vp-of.js';

// Processes with a SynIC in which everything waits for something, for synic-ends.test.ts: messages for a slot, a
// promise for room, the guest for a handler, a timer for the next look at a monitor page, an event for a signal, and a
// VP for its handler. They say on stdout what they see, and end by themselves.

const say = (...words: unknown[]): void => {
  process.stdout.write(`${words.join(' ')}\n`);
};
// An unhandled rejection ends the process with 1, a warning shows on stderr.
process.exitCode = 7;

const guest = await openGuestSide();

const partition = guest.createPartition(1);
const { native } = guest;
enableSynic(partition, 0);
const vp = vpOf(partition, 0);
const memory = GuestMemory.allocate(8192, { native });
partition.mapMemory(memory, { gpa: 0 });
const event = EventFd.create({ native });
const synic = new PartitionSynic(partition, {
  native,
  messageBound: 1,
  monitorPages: [4096n],
  hostEventDoorbell: () => ({ gpa: 0xd000_0000n }),
});
const ports = new SynicPorts(synic);
synic.installIntercepts();
const attached = synic.attachVp(0);

const port = ports.newGuestMessagePort(0, 0, 2);
const payload = new Uint8Array(240);
say('posts', port.post(1, payload), port.post(1, payload));
const waiting = port.post(1, payload);
const eventPort = ports.newGuestEventPort(1, 0, 0, 3, 9);
say('event', eventPort.interrupt().event.pending);
ports.addEventPort(1, 0, { osEvent: event }, { monitorId: 5, latency: 100 });
say('page', ports.monitorSupport?.allocateMonitorPage(0)?.childToParent);
let answer: () => void = () => undefined;
const asked = new Promise<void>((resolve) => {
  ports.addMessagePort(2, 0, {
    handleMessage: () => {
      resolve();
      return new Promise<void>((settle) => {
        answer = settle;
      });
    },
  });
});
memory.write(0, postMessageInput(2, payload.subarray(0, 9)));
guest.queueMessage(partition, 0, hypercallMessage({ code: 0x5c, input: 0n }));
const run = vp.start((exit) => {
  synic.handleExit(vp, exit);
});
await asked;

const scenarios: Record<string, () => Promise<void>> = {
  'closes the partition, answers then, and closes nothing else': async () => {
    partition.close();
    say('run', await run.finished);
    answer();
    await setImmediate();
  },
  'closes everything': async () => {
    synic[Symbol.dispose]();
    await Promise.resolve(waiting).catch((error: unknown) => {
      say('waiting', error instanceof Error && 'code' in error ? error.code : error);
    });
    partition.close();
    say('run', await run.finished);
    for (const end of [attached, port, eventPort, event, memory, guest]) end[Symbol.dispose]();
  },
  'stops the run, and closes nothing': async () => {
    run.stop();
    say('run', await run.finished);
  },
};

const scenario = scenarios[process.argv[2] ?? ''];
if (scenario === undefined) throw new Error(`no scenario ${process.argv[2] ?? ''}`);
await scenario();
