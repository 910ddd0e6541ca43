import { closeSync, openSync } from 'node:fs';

import { EventFd, GuestMemory, type MshvError, Mshv } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';

// Does something with what there is before under a limit or a filter, and tells what came of it:
//
//   under-limits.ts OPERATION [descriptors | FILTER-LIBRARY]
//
// 'descriptors': as many are open as may be. A library is loaded, whatever comes of that.

const { native } = Simulator;
const partition = new Simulator().open().createPartition();
partition.initialize();
const vp = partition.createVp(0);
const attached = partition.createVp(1);
attached.cancel();
const event = EventFd.create();
const shared = GuestMemory.allocate(0x10000, { shared: true });

const operations: Record<string, () => unknown> = {
  'EventFd.create()': () => EventFd.create().fd,
  'EventFd.adopt()': () => EventFd.adopt(event.clone().release()).fd,
  'event.clone()': () => event.clone().fd,
  'event.watch()': () => {
    event.watch(() => undefined)[Symbol.dispose]();
  },
  'event.signal()': () => {
    event.signal();
    return event.tryRead();
  },
  'GuestMemory.allocate()': () => GuestMemory.allocate(0x123000).size,
  'GuestMemory.allocate(), shared': () => GuestMemory.allocate(0x123000, { shared: true }).size,
  'GuestMemory.allocate(), too much': () => GuestMemory.allocate(2 ** 47).size,
  'memory.window()': () => shared.window(0x1000, 0x1000).size,
  'vp.run()': () => {
    attached.run();
  },
  'vp.start()': () => {
    attached.start(() => undefined).stop();
  },
  'vp.cancel()': () => {
    vp.cancel();
  },
  'vp.share()': () => attached.share().type,
  'vp.registerPage': () => vp.registerPage === undefined,
  'vp.interceptPage': () => vp.interceptPage === undefined,
  'vp.getRegisters()': () => vp.getRegisters(['RAX']).RAX,
  'Mshv.open()': () => Mshv.open({ path: '/dev/null' }).closed,
  'EventFd.create() of the simulator': () => EventFd.create({ native }).fd,
};

const [name = '', limit] = process.argv.slice(2);
const opened: number[] = [];
if (limit === 'descriptors') {
  try {
    for (;;) opened.push(openSync('/dev/null', 'r'));
  } catch {
    // No room for one more.
  }
} else if (limit !== undefined) {
  try {
    process.dlopen({ exports: {} }, limit);
  } catch {
    // It is no addon, but its constructor has run.
  }
}
let told: object;
try {
  const result = operations[name]?.();
  told = { result: typeof result === 'bigint' ? String(result) : result };
} catch (error) {
  const { code, syscall, message } = error as MshvError;
  told = { code, syscall, message };
}
for (const fd of opened) closeSync(fd);
console.log(JSON.stringify(told));
process.exit();
