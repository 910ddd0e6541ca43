// Ends in the middle of running VPs, in the way that is asked for.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import process from 'node:process';
import { URL } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const native = createRequire(import.meta.url)('bindings')('mshv_sim');

function newVp() {
  const device = native.open(`sim:${native.simCreate(3, false, false)}`);
  const partition = native.createPartition(device, 1n, 0n);
  native.initializePartition(partition);
  const vp = native.createVp(partition, 0);
  native.vpAttach(vp, -1);
  native.vpUseBlock(vp, new Uint8Array(new SharedArrayBuffer(384)));
  native.vpPage(vp, 0);
  return vp;
}

function runOnThread(onExit = () => undefined) {
  const vp = newVp();
  native.vpStart(vp, onExit);
  return vp;
}

const endings = {
  'exits while a thread runs a VP': () => {
    runOnThread();
    process.exit(3);
  },
  'exits from the call for an exit': () => {
    native.vpCancel(runOnThread(() => process.exit(3)));
  },
  'throws from the call for an exit': () => {
    process.on('uncaughtException', ({ message: text }) => process.exit(text === 'thrown' ? 3 : 4));
    const vp = runOnThread(() => {
      throw new Error('thrown');
    });
    native.vpCancel(vp);
  },
  'dies of what the call for an exit throws': () => {
    const vp = runOnThread(() => {
      throw new Error('thrown');
    });
    native.vpCancel(vp);
  },
  'rejects from the call for an exit': () => {
    process.on('unhandledRejection', () => process.exit(3));
    native.vpCancel(runOnThread(() => Promise.reject(new Error('rejected'))));
  },
  'ends by itself where no thread holds the loop': () => {
    process.exitCode = 3;
    native.vpHoldLoop(runOnThread(), false);
  },
  'exits while a Worker runs a VP': async () => {
    await workerThatRuns('vpRun');
    process.exit(3);
  },
  'exits while a Worker has a thread that runs a VP': async () => {
    await workerThatRuns('vpStart');
    process.exit(3);
  },
  'ends by itself once its Workers are terminated': async () => {
    process.exitCode = 3;
    const workers = [await workerThatRuns('vpRun'), await workerThatRuns('vpStart')];
    await Promise.all(workers.map((worker) => worker.terminate()));
  },
  'exits in a Worker whose thread runs a VP': async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: 'exit' });
    const [code] = await once(worker, 'exit');
    process.exitCode = code;
  },
};

async function workerThatRuns(how) {
  const worker = new Worker(new URL(import.meta.url), { workerData: how });
  await once(worker, 'message');
  return worker;
}

if (isMainThread) {
  const ending = endings[process.argv[2]];
  if (ending === undefined) process.stdout.write(JSON.stringify(Object.keys(endings)));
  else await ending();
} else if (workerData === 'vpRun') {
  const vp = newVp();
  parentPort.postMessage('runs');
  for (;;) native.vpRun(vp);
} else {
  runOnThread();
  if (workerData === 'exit') process.exit(3);
  parentPort.postMessage('runs');
}
