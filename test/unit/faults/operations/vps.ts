import { expect } from 'vitest';

import { encodeMessage } from '../../../../lib/sim/encode-message.js';
import { type Intercept, Vp, type StartedRun } from '../../../../lib/index.js';
import { hasExternalBuffers } from '../../../external-buffers.js';
import { type Operation, replaced } from '../engine.js';
import type { Situation } from '../situation.js';
import { begunAfterFirst, propertyCall } from './device.js';

const at = { rip: 0x1000n, instructionLength: 2, cr0Pe: true, eferLma: true };
const input = { ...at, port: 0x60, size: 1 } as const;

/** Has the register page there already, where the runtime lets it have a buffer. */
function haveRegisterPage(vp: Vp): void {
  const page = vp.registerPage;
  if (hasExternalBuffers) expect(page).toBeDefined();
}

/** An operation on a VP whose arbiter and pages are there. */
function onVp(
  name: string,
  act: (vp: Vp, situation: Situation) => unknown,
  outcome?: Operation['outcome'],
): Operation {
  return {
    name,
    arrange: (situation) => {
      const vp = situation.vp(0);
      situation.driver.giveStates(vp);
      haveRegisterPage(vp);
      return () => act(vp, situation);
    },
    ...(outcome && { outcome }),
  };
}

/** An operation on a VP that has stopped with an exit. */
function onExit(
  name: string,
  message: Uint8Array,
  act: (vp: Vp, exit: Intercept) => unknown,
): Operation {
  return {
    name,
    arrange: (situation) => {
      const vp = situation.vp(0);
      haveRegisterPage(vp);
      situation.driver.exitWith(situation.partition, vp, message);
      const exit = vp.run();
      if (exit === undefined) throw new Error('the VP did not exit');
      return () => act(vp, exit);
    },
  };
}

/** An operation on a VP that runs, and does not exit. */
function onRun(name: string, act: (run: StartedRun, vp: Vp) => unknown): Operation {
  return {
    name,
    arrange: (situation) => {
      const vp = situation.vp(0);
      const run = situation.own(vp.start(() => undefined));
      situation.atEnd(() => {
        run.stop();
      });
      return () => act(run, vp);
    },
  };
}

/** A page that cannot be had is no error, whatever the reason. */
const withoutPage: Operation['outcome'] = () => 'otherwise';

const share = (vp: Vp, situation: Situation): void => {
  const { native } = situation;
  const token = vp.share();
  situation.atEnd(() => {
    Vp.receive(token, { native }).close();
  });
};

export const vps: readonly Operation[] = [
  {
    name: 'vp.registerPage',
    arrange: (situation) => () => situation.vp(0).registerPage,
    outcome: withoutPage,
  },
  {
    name: 'vp.interceptPage',
    arrange: (situation) => () => situation.vp(0).interceptPage,
    outcome: withoutPage,
  },
  {
    name: 'vp.cancel(), the first that is done with a VP',
    arrange: (situation) => () => {
      situation.vp(0).cancel();
    },
    outcome: begunAfterFirst,
  },
  onVp('vp.cancel()', (vp) => {
    vp.cancel();
  }),
  onVp(
    'vp.run()',
    (vp, { driver, partition }) => {
      driver.exitWith(partition, vp, encodeMessage('halt', at));
      vp.run();
    },
    (_, { errno }) => (errno === 'ECANCELED' ? 'otherwise' : undefined),
  ),
  onVp('vp.start() to the first exit', async (vp, { driver, partition }) => {
    driver.exitWith(partition, vp, encodeMessage('halt', at));
    await vp.start(() => 'stop').finished;
  }),
  onVp('vp.start() to the second exit', async (vp, { driver, partition }) => {
    driver.exitWith(partition, vp, encodeMessage('halt', at));
    driver.exitWith(partition, vp, encodeMessage('halt', at));
    let exits = 0;
    await vp.start(() => (++exits === 2 ? 'stop' : undefined)).finished;
  }),
  onRun('vp.cancel() of a run', async (run, vp) => {
    vp.cancel();
    await run.finished;
  }),
  onRun('run.stop()', async (run) => {
    run.stop();
    await run.finished;
  }),
  onRun('run.unref() and ref()', (run) => run.unref().ref()),
  ...(['close', Symbol.dispose] as const).map((method) =>
    onRun(`${String(method)} of a VP that runs`, async (run, vp) => {
      vp[method]();
      await run.finished;
    }),
  ),
  onVp('vp.getRegisters()', (vp) => vp.getRegisters(['RAX', 'CS'])),
  onVp('vp.setRegisters()', (vp) => {
    vp.setRegisters({ RAX: 1n, RBX: 2n });
  }),
  onVp('vp.hypercall()', (vp) => vp.hypercall(propertyCall('MAX_XSAVE_DATA_SIZE'))),
  onVp("vp.getState('lapic')", (vp) => vp.getState('lapic')),
  onVp("vp.getState('xsave')", (vp) => vp.getState('xsave')),
  onVp("vp.setState('lapic')", (vp) => {
    vp.setState('lapic', vp.getState('lapic'));
  }),
  onVp("vp.setState('synthetic-timers')", (vp) => {
    vp.setState('synthetic-timers', new Uint8Array(200));
  }),
  onExit('vp.completeIoPort()', encodeMessage('io-port', input), (vp, exit) => {
    if (exit.type === 'io-port') vp.completeIoPort(exit, 7);
  }),
  onExit('vp.completeMsr()', encodeMessage('msr', { ...at, msr: 0x10 }), (vp, exit) => {
    if (exit.type === 'msr') vp.completeMsr(exit, 7n);
  }),
  onExit('vp.completeCpuid()', encodeMessage('cpuid', at), (vp, exit) => {
    if (exit.type === 'cpuid') vp.completeCpuid(exit, { eax: 1, ebx: 2, ecx: 3, edx: 4 });
  }),
  onExit('vp.completeHypercall()', encodeMessage('hypercall', at), (vp, exit) => {
    if (exit.type === 'hypercall') vp.completeHypercall(exit, () => ({ status: 2 }));
  }),
  onExit('vp.checkExit()', encodeMessage('halt', at), (vp, exit) => {
    vp.checkExit(exit);
  }),
  onExit('vp.skipInstruction()', encodeMessage('halt', at), (vp, exit) => {
    if (exit.type === 'halt') vp.skipInstruction(exit);
  }),
  onVp('vp.share()', share),
  {
    name: 'vp.share(), the first that is done with a VP',
    arrange: (situation) => () => {
      share(situation.vp(0), situation);
    },
    outcome: begunAfterFirst,
  },
  {
    name: 'Vp.receive()',
    arrange: (situation) => {
      const { native } = situation;
      const token = situation.vp(0).share();
      situation.atEnd(() => {
        if (Atomics.load(token.offer, 0) === 0) Vp.receive(token, { native }).close();
      });
      return () => situation.own(Vp.receive(token, { native }));
    },
  },
  ...(['close', Symbol.dispose] as const).map((method) =>
    onVp(
      `${String(method)} of a VP`,
      (vp) => {
        vp[method]();
      },
      replaced,
    ),
  ),
];
