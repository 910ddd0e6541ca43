// Terminates Workers at several moments of their work with each export of an addon, and says on stdout what they
// left behind. JavaScript, because hundreds of them are to start in milliseconds each.
//
//   node terminated-workers.mjs ADDON [NAME...]
//
// A NAME is one of the exports, or one of `starts`; all of them where none is named.
import { once } from 'node:events';
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import process from 'node:process';
import { URL } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Where Workers are when they are terminated, and how many of them there are for each export. */
const moments = {
  /** It calls the export again and again. */
  'in a hot loop': 6,
  /** It has called the export, and waits for its event loop. */
  idle: 1,
  /** It has called the export, and runs a VP. Of the simulated driver: /dev/null runs none. */
  'in run()': 1,
};
/** For each of `starts`. */
const momentsOfTheirOwn = { 'of its own': 6 };

/** Linux's: set before anybody who joins the thread is woken. */
const PF_EXITING = 0x4;
/** A loop has come round this often before its Worker is terminated. */
const roundsBefore = 20;

const load = createRequire(import.meta.url)('bindings');

/** What a loop works with. On Linux without the device, /dev/null stands in for its descriptors. */
function things(native) {
  const sim = 'simCreate' in native ? native.simCreate(3, false, false) : undefined;
  const path = sim === undefined ? '/dev/null' : `sim:${sim}`;
  const device = native.open(path);
  const partition = sim === undefined ? native.open(path) : native.createPartition(device, 1n, 0n);
  native.initializePartition(partition);
  const vp = sim === undefined ? native.open(path) : native.createVp(partition, 0);
  const control = native.vpAttach(vp, -1);
  native.vpUseBlock(vp, new Uint8Array(new SharedArrayBuffer(384)));
  // Another one, whose runs do not end.
  const running = sim === undefined ? vp : native.createVp(partition, 255);
  if (sim !== undefined) {
    native.vpAttach(running, -1);
    native.vpUseBlock(running, new Uint8Array(new SharedArrayBuffer(384)));
    native.vpPage(running, 0);
  }
  const table = Uint32Array.of(1, 0, 1, 0xfee00000, 0, 0x41);
  native.setMsiRouting(partition, table);
  const [event, armed] = [native.eventfdCreate(0, false), native.eventfdCreate(0, false)];
  native.irqfd(partition, armed, -1, 1, 0);
  const memory = native.memoryCreate(memorySize, true, false);
  native.mapMemory(partition, memory, 0n, memorySize, mappedPage * 4096n, 3);
  const file = native.memoryFd(memory);
  const bytes = new Uint8Array(4096);
  const descriptors = { device, partition, vp, control, running, event, armed, file };
  return { sim, path, ...descriptors, table, memory, bytes, kept: [], tokens: [], count: 0 };
}

const memorySize = 0x10000n;
/** Where memory is mapped all the time. */
const mappedPage = 0x10000n;

const end = (native, fd) => (fd < 0 ? fd : native.close(fd));

/** Keeps a descriptor open for a while, so that there are some to be cleaned up. */
function keep(native, { kept }, fd) {
  kept.push(fd);
  if (kept.length === 64) for (const one of kept.splice(0)) native.close(one);
  return fd;
}

/** One round over each export. What has no round in JavaScript runs by itself after `start`. */
const rounds = {
  close: (n) => n.close(n.eventfdCreate(0, false)),
  dup: (n, t) => keep(n, t, n.dup(t.event)),
  failedStep: (n, t) => [n.eventfdRead(t.event), n.failedStep()],
  release: (n, t) => (t.event = n.eventfdAdopt(n.release(t.event))),
  open: (n, t) => keep(n, t, n.open(t.path)),
  architecture: (n, t) => n.architecture(t.device),
  fastInjection: (n, t) => n.fastInjection(t.device),
  createPartition: (n, t) => end(n, n.createPartition(t.device, 1n, 0n)),
  createPartitionV2: (n, t) => end(n, n.createPartitionV2(t.device, 9n, 0n, 0n, 0n, 0n)),
  eventfdCreate: (n, t) => keep(n, t, n.eventfdCreate(1, true)),
  eventfdAdopt: (n, t) => (t.event = n.eventfdAdopt(n.release(t.event))),
  eventfdShow: (n, t) => {
    const copy = n.dup(t.event);
    return [n.eventfdShow(copy), n.close(copy)];
  },
  eventfdSignal: (n, t) => [n.eventfdSignal(t.armed), n.eventfdSignal(t.event, 2n)],
  eventfdSignalBounded: (n, t) => [
    n.eventfdSignalBounded(t.armed),
    n.eventfdSignalBounded(t.event, 2n),
  ],
  eventfdRead: (n, t) => [n.eventfdSignal(t.event), n.eventfdRead(t.event)],
  eventfdPoll: (n, t) => [n.eventfdPoll(t.event), n.eventfdPoll(t.armed)],
  watch: (n, t) => [n.watch(t.event, () => undefined), n.unwatch(t.event)],
  unwatch: (n, t) => [
    n.watch(t.event, () => undefined),
    n.unwatch(t.event),
    n.watch(t.event, () => undefined),
    n.unwatch(t.event),
  ],
  holdLoop: (n, t) => {
    if (t.count === 0) n.watch(t.event, () => undefined);
    return n.holdLoop(t.event, t.count % 2 === 0);
  },
  initializePartition: (n, t) => n.initializePartition(t.partition),
  createVp: (n, t) => end(n, n.createVp(t.partition, t.count % 255)),
  irqfd: (n, t) => [
    n.irqfd(t.partition, t.armed, -1, 1, 1),
    n.irqfd(t.partition, t.armed, -1, 1, 0),
  ],
  setMsiRouting: (n, t) => n.setMsiRouting(t.partition, t.table),

  ioeventfd: (n, t) => [
    n.ioeventfd(t.partition, t.event, 0xfee00000n, 4, 1n, 1),
    n.ioeventfd(t.partition, t.event, 0xfee00000n, 4, 1n, 5),
  ],
  mapMemory: (n, t) => [
    n.mapMemory(t.partition, t.memory, 0n, memorySize, 0n, 3),
    n.mapMemory(t.partition, t.memory, 0n, memorySize, 0n, 4),
  ],
  accessBitmap: (n, t) => n.accessBitmap(t.partition, 1, 1, mappedPage, 16, new BigUint64Array(1)),
  hypercall: (n, t) =>
    n.hypercall(t.partition, 0x44, 0, t.bytes.subarray(0, 16), t.bytes, new Uint32Array(2)),

  memoryCreate: (n, t) => n.memoryUnmap(n.memoryCreate(memorySize, t.count % 2 === 0, true)),
  memoryFromFd: (n, t) => n.memoryUnmap(n.memoryFromFd(t.file, 4096n, 4096n)),
  memoryFd: (n, t) => keep(n, t, n.memoryFd(t.memory)),
  memoryBuffer: (n, t) => n.memoryBuffer(t.memory).byteLength,
  memoryRead: (n, t) => n.memoryRead(t.memory, 4096n, t.bytes),
  memorySetBits: (n, t) => n.memorySetBits(t.memory, 4096n, 1),
  memoryTakeBits: (n, t) => n.memoryTakeBits(t.memory, 4096n, 1),
  memoryWrite: (n, t) => n.memoryWrite(t.memory, 4096n, t.bytes),
  memoryDetach: (n, t) => [n.memoryBuffer(t.memory).byteLength, n.memoryDetach(t.memory)],
  memoryUnmap: (n) => {
    const memory = n.memoryCreate(memorySize, false, false);
    return [n.memoryBuffer(memory).byteLength, n.memoryUnmap(memory)];
  },

  share: (n, t) => {
    const token = new Int32Array(new SharedArrayBuffer(12));
    const made = n.share(Int32Array.of(t.control), token);
    t.tokens.push(token);
    // Some that nobody has received are there all the time.
    if (t.tokens.length === 64) {
      for (const one of t.tokens.splice(0)) {
        n.receive(one, Uint32Array.of(2));
        n.close(one[2]);
      }
    }
    return made;
  },
  receive: (n, t) => {
    const token = new Int32Array(new SharedArrayBuffer(12));
    return [
      n.share(Int32Array.of(t.control), token),
      n.receive(token, Uint32Array.of(2)),
      n.close(token[2]),
    ];
  },
  receiveMemory: (n, t) => {
    const token = new Int32Array(new SharedArrayBuffer(12));
    return [
      n.share(Int32Array.of(t.file), token),
      n.memoryUnmap(n.receiveMemory(token, 4096n, 4096n)),
    ];
  },
  receiveEventfd: (n, t) => {
    const token = new Int32Array(new SharedArrayBuffer(12));
    return [n.share(Int32Array.of(t.event), token), n.close(n.receiveEventfd(token))];
  },
  vpAttach: (n, t) => {
    const vp = n.dup(t.vp);
    const control = n.vpAttach(vp, t.count % 2 === 0 ? t.control : -1);
    return [control, n.close(vp), control === t.control ? 0 : n.close(control)];
  },
  vpUseBlock: (n, t) => {
    const vp = n.dup(t.vp);
    const control = n.vpAttach(vp, -1);
    const used = n.vpUseBlock(vp, new Uint8Array(new SharedArrayBuffer(384)));
    return [used, n.close(vp), n.close(control)];
  },
  vpRun: (n, t) => [n.vpCancel(t.vp), n.vpRun(t.vp)],
  vpCancel: (n, t) => n.vpCancel(t.vp),
  vpLastRun: (n, t) => n.vpLastRun(t.vp),
  vpStart: (n, t) => [n.vpStart(t.vp, () => undefined), n.vpStop(t.vp)],
  vpResume: (n, t) => {
    if (t.count === 0) n.vpStart(t.vp, () => undefined);
    return n.vpResume(t.vp);
  },
  vpStop: (n, t) => [
    n.vpStart(t.vp, () => undefined),
    n.vpCancel(t.vp),
    n.vpStop(t.vp),
    n.vpStop(t.vp),
  ],
  vpHoldLoop: (n, t) => {
    if (t.count === 0) n.vpStart(t.vp, () => undefined);
    return n.vpHoldLoop(t.vp, t.count % 2 === 0);
  },
  vpPage: (n, t) => n.vpPage(t.vp, t.count % 2).byteLength,
  vpReadRegisterPage: (n, t) => [n.vpPage(t.vp, 0), n.vpReadRegisterPage(t.vp, t.bytes, 0)],
  vpWriteRegisterPage: (n, t) => [
    n.vpPage(t.vp, 0),
    n.vpWriteRegisterPage(t.vp, Uint32Array.of(8), BigUint64Array.of(1n), 1),
  ],
  vpCompleteExit: (n, t) => n.vpCompleteExit(t.vp, n.vpLastRun(t.vp), 2, 1),
  vpGetState: (n, t) => n.vpGetState(t.vp, 0, t.bytes),
  vpSetState: (n, t) => n.vpSetState(t.vp, 4, t.bytes.subarray(0, 200)),

  simCreate: (n, t) => {
    t.kept.push(n.simCreate(4, true, false));
    if (t.kept.length === 8) for (const sim of t.kept.splice(0)) n.simDestroy(sim);
  },
  simDestroy: (n) => n.simDestroy(n.simCreate(3, false, true)),
  simOf: (n, t) => n.simOf(t.partition),
  simSettle: (n, t) => [n.eventfdSignal(t.armed), n.simSettle(t.sim)],
  simInterrupts: (n, t) => [
    n.eventfdSignal(t.armed),
    n.simInterrupts(t.partition, new BigUint64Array(16)),
  ],
  simListen: (n, t) => {
    const event = n.eventfdCreate(0, false);
    return [n.simListen(t.partition, event), n.close(event)];
  },
  simEndOfInterrupt: (n, t) => n.simEndOfInterrupt(t.partition, 0, 0x41),
  simFailNext: (n, t) => n.simFailNext(t.sim, 0x4010b803, constants.errno.EIO, 0, 0),
  simCalls: (n, t) => n.simCalls(t.sim, 0x4010b803),
  simRoutes: (n, t) => n.simRoutes(t.partition, new Uint32Array(16)),
  simIrqFds: (n, t) => n.simIrqFds(t.partition, new Uint32Array(16)),
  simQueueMessage: (n, t) => n.simQueueMessage(t.partition, 0, t.bytes.subarray(0, 256)),
  simGuestSteps: (n, t) =>
    n.simGuestSteps(t.partition, 0, BigUint64Array.of(1n, 0x3f8n, 1n, 1n, 0x41n)),
  simPendingSteps: (n, t) => n.simPendingSteps(t.partition, 0),
  simGuestAccess: (n, t) => n.simGuestAccess(t.partition, mappedPage * 4096n, t.bytes, false),
  simWriteMmio: (n, t) => n.simWriteMmio(t.partition, 0x1000n, 4, 1n),
  simRefuse: (n, t) => n.simRefuse(t.sim, 0x50, 0x0e, 0, 1, 0),
  simDoorbells: (n, t) => n.simDoorbells(t.partition, new BigUint64Array(16)),
  simMemory: (n, t) => n.simMemory(t.partition, new BigUint64Array(16)),
  simIntercepts: (n, t) => n.simIntercepts(t.partition, new BigUint64Array(16)),
  simInterceptResults: (n, t) => n.simInterceptResults(t.partition, new BigUint64Array(16)),
  simFailSystemCall: (n) => n.simFailSystemCall(0, 0),
  simSystemCalls: (n) => [n.simFailSystemCall(0, 0), n.simSystemCalls()].length,
  simOops: (n, t) => n.simOops(t.sim),
};

/** Workers that end inside the addon's own callbacks, in runs, or waiting with what they have open. */
const starts = {
  'watch, called for what was counted': (n, t, round) => {
    n.watch(t.event, (count) => {
      n.eventfdSignal(t.event, count);
      round();
    });
    n.eventfdSignal(t.event);
  },
  'vpStart, called for canceled runs': (n, t, round) => {
    n.vpStart(t.vp, () => {
      n.vpCancel(t.vp);
      n.vpResume(t.vp);
      round();
    });
    n.vpCancel(t.vp);
  },
  'vpStart, while the VP runs': (n, t, round) => {
    n.vpPage(t.vp, 0);
    n.vpStart(t.vp, () => undefined);
    for (let i = 0; i < roundsBefore; i++) round();
  },
  'vpRun, while the VP runs': (n, t, round) => {
    n.vpPage(t.vp, 0);
    for (let i = 0; i < roundsBefore; i++) round();
    for (;;) n.vpRun(t.vp);
  },
  'watch, inside the call': (n, t, round) => {
    n.watch(t.event, () => {
      for (;;) round();
    });
    n.eventfdSignal(t.event);
  },
  'vpStart, inside the call': (n, t, round) => {
    n.vpStart(t.vp, () => {
      for (;;) round();
    });
    n.vpCancel(t.vp);
  },
  'everything open, and nothing to do': (n, t, round) => {
    openEverything(n, t);
    wait(round);
  },
  'everything open, in vpRun': (n, t, round) => {
    openEverything(n, t);
    for (let i = 0; i < roundsBefore; i++) round();
    for (;;) n.vpRun(t.running);
  },
};

/** One of each kind of what an environment can have, with views, listeners and a thread. */
function openEverything(n, t) {
  n.watch(t.event, () => undefined);
  n.watch(n.eventfdCreate(0, true), () => undefined);
  n.ioeventfd(t.partition, t.event, 0xfee00000n, 4, 1n, 1);
  n.irqfd(t.partition, n.eventfdCreate(0, false), n.eventfdCreate(0, false), 0x41, 4);
  n.memoryBuffer(t.memory);
  n.memoryBuffer(n.memoryCreate(memorySize, false, true));
  n.memoryFromFd(t.file, 0n, memorySize);
  n.vpPage(t.vp, 0);
  n.vpPage(t.vp, 1);
  n.vpStart(t.vp, () => undefined);
  if (t.sim !== undefined) n.simListen(t.partition, n.eventfdCreate(0, false));
}

/** Waits for what the event loop brings, which is nothing. */
function wait(round) {
  parentPort.on('message', () => undefined);
  for (let i = 0; i < roundsBefore; i++) round();
}

/** What nobody owns where a Worker ends inside a loop: it stays then, as release() promises. */
const released = { release: 'event', eventfdAdopt: 'event' };

if (isMainThread) {
  const [, , addon, ...named] = process.argv;
  // The loader adds a path.
  const exported = Object.keys(load(addon)).filter((name) => name !== 'path');
  const names = named.length > 0 ? named : [...exported, ...Object.keys(starts)];
  // What the first ones leave are the process's own caches.
  await Promise.all([work(addon, 'close', 'idle'), work(addon, 'close', 'idle')]);
  const counts = { cells: 0, workers: 0 };
  const left = {};
  for (const name of names) {
    const before = resources();
    const ends = [];
    for (const [moment, workers] of momentsOf(addon, name)) {
      counts.cells++;
      counts.workers += workers;
      for (let i = 0; i < workers; i++) ends.push(work(addon, name, moment));
    }
    const released = new Set(await Promise.all(ends));
    // All of the Workers are gone: what is open although it was not is nobody's.
    for (const fd of descriptors()) {
      if (released.has(fd) && !before.descriptors.includes(fd)) closeSync(fd);
    }
    left[name] = difference(before);
  }
  process.stdout.write(JSON.stringify({ ...counts, left }));
} else {
  perform(workerData);
}

function momentsOf(addon, name) {
  if (name in starts) return Object.entries(momentsOfTheirOwn);
  return Object.entries(moments).filter(([moment]) => addon !== 'mshv' || moment !== 'in run()');
}

/** Those of test/open-descriptors.ts. */
function descriptors() {
  const foreign = [process.env.MSHV_SANITIZER_REPORTS, `/proc/${process.pid}/maps`];
  const ours = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${fd}`);
      return !foreign.some((path) => path !== undefined && file.startsWith(path));
    } catch {
      // Closed since: that by which they were listed, or another thread's.
      return false;
    }
  });
  return ours.map(Number);
}

function resources() {
  return {
    descriptors: descriptors(),
    threads: threads(),
    // Those with a file of ours behind them, but for what is in place of a closed one: the addresses of a buffer that may have
    // been moved elsewhere are never given back. The others are told from the runtime's by nothing.
    mappings: readFileSync('/proc/self/maps', 'latin1').split(/memfd:mshv(?!_nobodys)/).length,
  };
}

/** The names of this process's threads, by their ids: those of test/process-threads.ts. */
function threads() {
  const names = new Map();
  for (const id of readdirSync('/proc/self/task')) {
    try {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'latin1');
      const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(stat);
      if ((Number(rest.split(' ')[6]) & PF_EXITING) === 0) names.set(id, name);
    } catch {
      // It has ended meanwhile.
    }
  }
  return names;
}

/** What there is more of than before. */
function difference(before) {
  const after = resources();
  const more = [...after.threads].filter(([id]) => !before.threads.has(id));
  return {
    descriptors: after.descriptors.length - before.descriptors.length,
    threads: more.map(([, name]) => name),
    mappings: after.mappings - before.mappings,
  };
}

/** Lets a Worker work and terminates it. Returns the descriptor that may be nobody's then. */
async function work(addon, name, moment) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { addon, name, moment } });
  // Rejects where the work throws.
  const [fd] = await once(worker, 'message');
  await worker.terminate();
  return fd;
}

function perform({ addon, name, moment }) {
  const native = load(addon);
  const all = things(native);
  const round = () => {
    if (++all.count === roundsBefore) parentPort.postMessage(all[released[name]]);
  };
  if (name in starts) {
    starts[name](native, all, round);
    return;
  }
  const step = rounds[name];
  if (step === undefined) throw new Error(`there is no round for the export ${name}`);
  const call = () => {
    for (const result of [step(native, all)].flat()) {
      // The arguments are right, so whatever else may be refused here, they are not.
      if (result === -constants.errno.EINVAL || result === -constants.errno.EBADF) {
        throw new Error(`${name}: ${result} in round ${all.count}`);
      }
    }
    round();
  };
  if (moment === 'in a hot loop') for (;;) call();
  call();
  if (moment === 'idle') {
    wait(round);
    return;
  }
  while (all.count < roundsBefore) round();
  for (;;) native.vpRun(all.running);
}
