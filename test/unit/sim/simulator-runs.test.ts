import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { ioctls } from '../../../lib/abi/ioctls.js';
import { GuestMemory, Mshv, type Partition, type Vp } from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator, type SimulatedIoctl, type SimulatorOptions } from '../../../lib/sim/index.js';
import { simulatedMachine } from '../../simulated-machine.js';

// Runs that wait, machines that end meanwhile, and planned failures of every ioctl.

let simulator: Simulator;
let device: Mshv;
let partition: Partition;
let vp: Vp;

function start(options?: SimulatorOptions): void {
  ({ simulator, device, partition, vp } = simulatedMachine(1, options));
}

beforeEach(() => {
  start();
});
afterEach(() => {
  simulator.close();
});

const code = (expected: string) => expect.objectContaining({ code: expected }) as Error;

describe.each(['hypervisor', 'root'] as const)('a run that waits, %s scheduler', (scheduler) => {
  beforeEach(() => {
    simulator.close();
    start({ scheduler });
  });

  it('goes on when the guest does something', async () => {
    const seen: string[] = [];
    const run = vp.start(({ type }) => {
      seen.push(type);
      return seen.length === 3 ? 'stop' : undefined;
    });
    // Not by what the VP shows, which would wait for it.
    expect(partition.getRegisters(0, Uint32Array.of(0x20011))[0]).toBe(2n);
    const guest = simulator.guest(partition, 0);
    guest.halt().halt().halt();
    expect(await run.finished).toBe('stopped');
    expect(seen).toEqual(['halt', 'halt', 'halt']);
  });

  it('is canceled, and runs again', async () => {
    const run = vp.start(() => 'stop');
    vp.cancel();
    expect(await run.finished).toBe('canceled');
    simulator.guest(partition, 0).halt();
    expect(vp.run()?.type).toBe('halt');
  });

  it('is EIO when the machine ends under it', async () => {
    const native = simNative();
    const machine = native.simCreate(scheduler === 'root' ? 4 : 3, false, false);
    using opened = Mshv.open({ path: `sim:${machine}`, native });
    const created = opened.createPartition();
    created.initialize();
    const vps = [created.createVp(0), created.createVp(1)];
    const runs = vps.map((each) => each.start(() => 'stop'));
    native.simDestroy(machine);
    await Promise.all(
      runs.map(async ({ finished }) => {
        await expect(finished).rejects.toThrow(code('EIO'));
      }),
    );
    expect(() => vps[0]?.run()).toThrow(code('EIO'));
  });

  it('ends with the simulator', async () => {
    const run = vp.start(() => 'stop');
    simulator.close();
    expect(await run.finished).toBe('closed');
  });

  it('fails as planned, before the guest does anything', () => {
    const guest = simulator.guest(partition, 0).halt();
    simulator.failNext('MSHV_RUN_VP', 'EFAULT');
    expect(() => vp.run()).toThrow(code('EFAULT'));
    expect(guest.pending).toBe(1);
    expect(vp.run()?.type).toBe('halt');
    expect(simulator.calls('MSHV_RUN_VP')).toBeGreaterThanOrEqual(2);
  });
});

it('a run is EIO when the host crashes', async () => {
  simulator.close();
  start({ scheduler: 'root', fastInjection: true });
  const run = vp.start(() => 'stop');
  const { native } = Simulator;
  const event = native.eventfdCreate(0, false);
  native.setMsiRouting(partition.fd, Uint32Array.of(1, 0, 1, 0xfee0_9000, 0, 0x41));
  native.irqfd(partition.fd, event, -1, 1, 0);
  native.eventfdSignal(event);
  expect(simulator.oops).toContain('mshv_irqfd_wakeup');
  await expect(run.finished).rejects.toThrow(code('EIO'));
  native.close(event);
});

describe('the suspend registers', () => {
  const suspended = (): bigint[] =>
    [0, 1].map((name) => partition.getRegisters(0, Uint32Array.of(name))[0] ?? -1n);

  it('tell of runs, exits and cancels', () => {
    expect(suspended()).toEqual([1n, 0n]);
    simulator.guest(partition, 0).halt();
    vp.run();
    expect(suspended()).toEqual([0n, 1n]);
    vp.cancel();
    expect(vp.run()).toBeUndefined();
    simulator.guest(partition, 0).halt();
    vp.run();
    expect(suspended()).toEqual([0n, 1n]);
  });

  it('let a VP go on without a run, whose exit the next run returns', () => {
    const guest = simulator.guest(partition, 0).halt();
    partition.setRegisters(0, Uint32Array.of(0), BigUint64Array.of(0n, 0n));
    expect(guest.pending).toBe(0);
    expect(suspended()).toEqual([0n, 1n]);
    expect(vp.run()?.type).toBe('halt');
  });
});

describe('states of a VP', () => {
  it('hold what was set, page by page, and the size the partition says', () => {
    expect(vp.getState('simp')).toEqual(new Uint8Array(4096));
    vp.setState('lapic', new Uint8Array(4096).fill(7));
    expect(vp.getState('lapic')).toEqual(new Uint8Array(4096).fill(7));
    expect(vp.getState('siefp')).toEqual(new Uint8Array(4096));
    expect(vp.getState('xsave')).toHaveLength(832);
    expect(vp.getState('synthetic-timers')).toHaveLength(200);
  });

  it('have the size that the partition was made with', () => {
    using other = device.createPartition();
    other.setProperty('MAX_XSAVE_DATA_SIZE', 5000);
    other.initialize();
    expect(other.createVp(0).getState('xsave')).toHaveLength(5000);
  });
});

describe('failNext', () => {
  const plans: [SimulatedIoctl, () => unknown][] = [
    ['MSHV_CREATE_PARTITION', () => device.createPartition()],
    [
      'MSHV_INITIALIZE_PARTITION',
      () => {
        device.createPartition().initialize();
      },
    ],
    ['MSHV_CREATE_VP', () => partition.createVp(5)],
    [
      'MSHV_SET_GUEST_MEMORY',
      () => {
        const memory = GuestMemory.allocate(4096, { native: Simulator.native });
        partition.mapMemory(memory, { gpa: 0n });
      },
    ],
    ['MSHV_IRQFD', () => partition.irqfd.newRoute({ msi: { address: 0xfee0_0000n, data: 0x41 } })],
    ['MSHV_IOEVENTFD', () => partition.registerDoorbell({ gpa: 0n })],
    [
      'MSHV_SET_MSI_ROUTING',
      () => partition.irqfd.newRoute({ msi: { address: 0xfee0_0000n, data: 0x42 } }),
    ],
    [
      'MSHV_GET_GPAP_ACCESS_BITMAP',
      () => {
        const memory = GuestMemory.allocate(4096, { native: Simulator.native });
        const mapped = partition.mapMemory(memory, { gpa: 0n });
        try {
          partition.dirtyPages({ gpa: 0n, size: 4096, clear: true });
        } finally {
          mapped.unmap();
        }
      },
    ],
    [
      'MSHV_ROOT_HVCALL',
      () => {
        partition.setProperty('TIME_FREEZE', 1);
      },
    ],
    [
      'MSHV_RUN_VP',
      () => {
        simulator.guest(partition, 0).halt();
        vp.run();
      },
    ],
    ['MSHV_GET_VP_STATE', () => vp.getState('lapic')],
    [
      'MSHV_SET_VP_STATE',
      () => {
        vp.setState('lapic', new Uint8Array(4096).fill(1));
      },
    ],
  ];

  it('knows every ioctl', () => {
    expect(plans.map(([ioctl]) => ioctl).sort()).toEqual(Object.keys(ioctls).sort());
  });

  it.each(plans)('fails %s once, before any effect', (ioctl, use) => {
    const before = simulator.calls(ioctl);
    simulator.failNext(ioctl, 'ENOSPC');
    expect(use).toThrow(expect.objectContaining({ code: 'ENOSPC', ioctl }));
    expect(simulator.calls(ioctl)).toBe(before + 1);
    use();
  });
});
