import { writeSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import { Simulator } from '../../../lib/sim/index.js';

// Makes 50 000 hypercalls of each kind on a simulator and says by how many bytes the heap grew. It is
// started with a young generation that holds all of what could be allocated: nothing is collected in between.

const calls = 50_000;
const simulator = new Simulator();
const partition = simulator.open().createPartition();
partition.initialize();
const vp = partition.createVp(0);
const messages = [encodeMessage('halt', {}), encodeMessage('sint-deliverable', {})];

const names = Uint32Array.from({ length: 18 }, (_, i) => x64Registers.RAX + i);
const values = BigUint64Array.from({ length: 36 }, (_, i) => 0x1234_5678_9abcn * BigInt(i));
const request = { vector: 0x41 };
const kinds: Readonly<Record<string, () => void>> = {
  requestInterrupt: () => {
    partition.requestInterrupt(request);
  },
  getRegisters: () => {
    partition.getRegisters(0, names, values);
  },
  setRegisters: () => {
    partition.setRegisters(0, names, values);
  },
  run: () => {
    vp.run();
  },
  // For comparison: its result is an object.
  translateGva: () => {
    partition.translateGva({ vp: 0, gva: 0x1000 });
  },
};

const growths = Object.entries(kinds).map(([kind, call]) => {
  // What the guest exits with. Queueing it allocates.
  const prepare = (): void => {
    for (let i = 0; kind === 'run' && i < calls; i++) {
      simulator.queueMessage(partition, 0, messages[i % 2] ?? new Uint8Array(256));
    }
  };
  const make = (): void => {
    for (let i = 0; i < calls; i++) call();
    simulator.settle();
  };
  // Until V8 has compiled it for good.
  for (let i = 0; i < 3; i++) {
    prepare();
    make();
  }
  prepare();
  const before = getHeapStatistics().used_heap_size;
  make();
  return [kind, getHeapStatistics().used_heap_size - before] as const;
});
simulator.close();
writeSync(1, `${JSON.stringify(Object.fromEntries(growths))}\n`);
// At once: the event loop would collect what was allocated, which is no news any more.
process.exit();
