import { GuestMemory } from '../../lib/index.js';
import { addressSpace } from '../address-space.js';
import { collectGarbage } from '../collect-garbage.js';

// What memory leaves that was handed out and closed, 100 times 64 MiB of it, 8 of which were written:
//
//   npx tsx test/load/closed-memory.ts
//
// A line for each way of handing it out: what there is more of than before. The status is 0 where pages came back at
// once, and addresses when they should.

const count = 100;
const size = 64 << 20;
const written = 8 << 20;
const MiB = 2 ** 20;

type Transfer = (this: ArrayBuffer) => ArrayBuffer;
const transfer = Reflect.get(ArrayBuffer.prototype, 'transfer') as Transfer | undefined;

interface Way {
  readonly what: string;
  readonly handOut: (memory: GuestMemory) => unknown;
  /** Whether the addresses are there until the process ends. */
  readonly forGood?: boolean;
}

const ways: readonly Way[] = [
  { what: 'never asked for a buffer', handOut: () => undefined },
  { what: 'buffer', handOut: ({ buffer }) => buffer },
  ...(transfer === undefined
    ? []
    : [
        {
          what: 'buffer, transferred',
          handOut: ({ buffer }: GuestMemory) => transfer.call(buffer),
          forGood: true,
        },
      ]),
];

/** Prints what there is more of, and says whether that is what it should be. */
async function measure(way: Way, collects: boolean): Promise<boolean> {
  const { what, handOut, forGood = false } = way;
  await collectGarbage();
  const before = addressSpace();
  for (let i = 0; i < count; i++) {
    const memory = GuestMemory.allocate(size);
    memory.fill(1, 0, written);
    handOut(memory);
    memory.close();
  }
  if (collects) await collectGarbage();
  const after = addressSpace();
  const resident = Math.round((after.resident - before.resident) / MiB);
  const addresses = Math.round((after.size - before.size) / MiB);
  const mappings = after.mappings - before.mappings;
  const text = `${what}, ${collects ? 'garbage collected' : 'not collected'}`.padEnd(48);
  console.log(`${text} RSS ${resident} MiB, addresses ${addresses} MiB, mappings ${mappings}`);
  const all = (count * size) / MiB;
  // The rest is what the heap and its collector take meanwhile.
  return (
    resident < 128 &&
    mappings < 2 * count &&
    addresses < all + 256 &&
    (forGood ? addresses > all - 256 : !collects || addresses < 256)
  );
}

for (const way of ways)
  for (const collects of [false, true]) if (!(await measure(way, collects))) process.exitCode = 1;
