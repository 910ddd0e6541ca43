import { GsiAllocator } from '../lib/index.js';
import { Baseline, compileBaseline } from './baseline.js';
import type { Line } from './line.js';
import { compare, interleave, timed } from './rounds.js';

const inUse = 4000;
const stride = 1601;

/** `free()` of any GSI and `allocate()`, against the scan for the first unallocated one. */
export async function gsiLines(): Promise<Line[]> {
  const scan = new Baseline(compileBaseline('gsi_scan', 'gcc', ['bench/gsi_scan.c']));
  const gsis = new GsiAllocator();
  const held = Uint32Array.from({ length: inUse }, () => gsis.allocate());
  const times = 4000;
  const ours = (): number =>
    timed(() => {
      for (let i = 0; i < times; i++) {
        const gsi = held[(i * stride) % inUse] ?? 0;
        gsis.free(gsi);
        if (gsis.allocate() !== gsi) {
          throw new Error(`GSI ${gsi} was not the next one`);
        }
      }
    }) / times;
  const baseline = async (): Promise<number> => Number(await scan.ask(`churn ${times}`)) / times;
  const pairs = await interleave(100, ours, baseline);
  scan.end();
  return [
    {
      name: `GSI free + allocate, ${inUse} in use`,
      against: "C program of OpenVMM's algorithm: scan for the first free one",
      ...compare(pairs),
    },
  ];
}
