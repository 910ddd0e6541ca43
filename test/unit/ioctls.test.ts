import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hypercalls } from '../../lib/abi/hypercalls.js';
import { ioctls, type IoctlName } from '../../lib/abi/ioctls.js';
import { irqfdFlags } from '../../lib/abi/irqfd.js';
import { pageAccessOperations, pageAccessTypes } from '../../lib/abi/memory.js';
import { vpStateTypes } from '../../lib/abi/vp-state.js';
import { simNative, type SimNative } from '../../lib/sim/sim-native.js';
import { Differential } from '../differential/differential.js';
import { SimulatedMachine } from '../differential/machine.js';
import { publicFunctions } from './public-members.js';
import { giveBlock } from '../give-block.js';

// What there has to be for each ioctl, beside the addon's function for it.

const root = fileURLToPath(new URL('../../', import.meta.url));
const names = Object.keys(ioctls) as IoctlName[];
const textOf = (file: string): string => readFileSync(`${root}${file}`, 'utf8');

interface Descriptors {
  readonly device: number;
  /** Not initialized. */
  readonly newPartition: number;
  readonly partition: number;
  readonly vp: number;
  readonly event: number;
  readonly memory: number;
}

/** Has the addon make the ioctl, with arguments that the driver takes. */
const makes: Record<IoctlName, (native: SimNative, fds: Descriptors) => number> = {
  MSHV_CREATE_PARTITION: (native, { device }) => native.createPartition(device, 0n, 0n),
  MSHV_INITIALIZE_PARTITION: (native, { newPartition }) => native.initializePartition(newPartition),
  MSHV_CREATE_VP: (native, { partition }) => native.createVp(partition, 1),
  MSHV_SET_GUEST_MEMORY: (native, { partition, memory }) =>
    native.mapMemory(partition, memory, 0n, 4096n, 0n, 0),
  MSHV_IRQFD: (native, { partition, event }) =>
    native.irqfd(partition, event, -1, 1, irqfdFlags.DEASSIGN),
  MSHV_IOEVENTFD: (native, { partition, event }) =>
    native.ioeventfd(partition, event, 0xf000_0000n, 4, 0n, 0),
  MSHV_SET_MSI_ROUTING: (native, { partition }) =>
    native.setMsiRouting(partition, Uint32Array.of(1, 0, 1, 0xfee0_0000, 0, 0x41)),
  MSHV_GET_GPAP_ACCESS_BITMAP: (native, { partition }) =>
    native.accessBitmap(
      partition,
      pageAccessTypes.DIRTY,
      pageAccessOperations.CLEAR,
      0n,
      1,
      new BigUint64Array(1),
    ),
  MSHV_ROOT_HVCALL: (native, { partition }) =>
    native.hypercall(
      partition,
      hypercalls.HVCALL_GET_VP_REGISTERS.code,
      1,
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0), // RAX of VP 0
      new Uint8Array(16),
      new Uint32Array(2),
    ),
  MSHV_RUN_VP: (native, { partition, vp }) => {
    native.simQueueMessage(partition, 0, new Uint8Array(256).fill(1));
    giveBlock(native, vp);
    return native.vpRun(vp);
  },
  MSHV_GET_VP_STATE: (native, { vp }) =>
    native.vpGetState(vp, vpStateTypes.lapic, new Uint8Array(4096)),
  MSHV_SET_VP_STATE: (native, { vp }) =>
    native.vpSetState(vp, vpStateTypes.lapic, new Uint8Array(4096)),
};

describe('each ioctl', () => {
  const native = simNative();
  let id: number;
  let fds: Descriptors;

  beforeAll(() => {
    id = native.simCreate(3, false, false);
    const device = native.open(`sim:${id}`);
    const newPartition = native.createPartition(device, 0n, 0n);
    const partition = native.createPartition(device, 0n, 0n);
    native.initializePartition(partition);
    const vp = native.createVp(partition, 0);
    native.vpAttach(vp, -1);
    const event = native.eventfdCreate(0, false);
    const memory = native.memoryCreate(4096n, false, false);
    fds = { device, newPartition, partition, vp, event, memory };
  });

  afterAll(() => {
    const { memory, ...descriptors } = fds;
    native.simDestroy(id);
    for (const fd of Object.values(descriptors)) native.close(fd);
    native.memoryUnmap(memory);
  });

  it.each(names)('has a handler in the simulator, with success: %s', (name) => {
    const calls = native.simCalls(id, ioctls[name]);
    expect(makes[name](native, fds)).toBeGreaterThanOrEqual(0);
    expect(native.simCalls(id, ioctls[name])).toBeGreaterThan(calls);
  });

  it('is made by the operations of the differential run', () => {
    using expected = new SimulatedMachine({});
    using got = new SimulatedMachine({});
    using differential = new Differential(expected, got);
    for (let sequence = 0; sequence < 5; sequence++) differential.run(1, sequence, 300);
    expect(names.filter((name) => got.simulator.calls(name) === 0)).toEqual([]);
  });

  it('is among those that libFuzzer makes of any struct', () => {
    const [, requests = ''] =
      /kRequests\[\] = \{(.*?)\};/s.exec(textOf('test/fuzz/addon.cc')) ?? [];
    expect([...requests.matchAll(/abi::(MSHV_\w+)/g)].map(([, name]) => name).sort()).toEqual(
      [...names].sort(),
    );
  });

  it('has a row in docs/errors.md, with what makes it and a page that says how', () => {
    const functions = new Set(publicFunctions().map((name) => name.replace(/^.*[#.]/, '')));
    const rows = [
      ...textOf('docs/errors.md').matchAll(/^\| `(MSHV_\w+)` +\| ([^|]+) \| ([^|]+) \|$/gm),
    ].map(([, ioctl = '', makers = '', pages = '']) => ({ ioctl, makers, pages }));
    expect(rows.map(({ ioctl }) => ioctl).sort()).toEqual([...names].sort());
    for (const { ioctl, makers, pages } of rows) {
      const called = [...makers.matchAll(/`(\w+)\(\)`/g)].map(([, name = '']) => name);
      expect(called.length, ioctl).toBeGreaterThan(0);
      expect(called.filter((name) => !functions.has(name))).toEqual([]);
      const linked = [...pages.matchAll(/\]\(([\w.]+)(?:#[\w-]+)?\)/g)].map(
        ([, page = '']) => page,
      );
      expect(linked.length, ioctl).toBeGreaterThan(0);
      for (const page of linked) textOf(`docs/${page}`);
    }
  });
});
