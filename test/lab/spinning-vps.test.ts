import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { GuestMemory, Mshv } from '../../lib/index.js';

// As many VPs as there are CPUs, none of which ever exits.

it('VPs that never exit leave their VMM time, and are stopped', async () => {
  using device = Mshv.open();
  const partition = device.createPartition();
  partition.initialize();
  using memory = GuestMemory.allocate(2 ** 21, { shared: true });
  partition.mapMemory(memory, { gpa: 0 });
  // incl 0x2000; jmp back, in real mode
  memory.bytes().set([0x66, 0xff, 0x06, 0x00, 0x20, 0xeb, 0xf9], 0x1000);
  const segment = { base: 0, limit: 0xffff, selector: 0, attributes: 0x93 };
  const runs = [0, 1].map((index) => {
    const vp = partition.createVp(index);
    vp.setRegisters({
      CS: { ...segment, attributes: 0x9b },
      DS: segment,
      SS: segment,
      ES: segment,
      RIP: 0x1000,
    });
    return vp.start((exit) => {
      throw new Error(`unexpected exit: ${exit.type}`);
    });
  });
  // Turns of the event loop with timers in between, which wait for CPUs that the VPs have.
  for (let turn = 0; turn < 50; turn++) await setTimeout(5);
  expect(memory.dataView.getUint32(0x2000, true)).toBeGreaterThan(0);
  for (const run of runs) run.stop();
  expect(await Promise.all(runs.map((run) => run.finished))).toEqual(['stopped', 'stopped']);
});
