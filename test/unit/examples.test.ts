import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { openGuest } from '../../examples/guest.js';
import { Simulator } from '../../lib/sim/index.js';
import { exampleOutput, runExample } from '../example-run.js';
import { slowness } from '../slowness.js';

const onDevice = existsSync('/dev/mshv');
const why = onDevice ? ' (skipped: this machine has /dev/mshv, which they would use)' : '';

const names = Object.keys(exampleOutput) as (keyof typeof exampleOutput)[];

describe.skipIf(onDevice)(`on the simulator${why}`, () => {
  it.each(names)(
    'examples/%s.ts',
    (name) => {
      expect(runExample(name)).toEqual(['on the simulator:', ...exampleOutput[name]]);
    },
    120_000 * slowness,
  );

  // vitest does not start where intrinsics are frozen; these do, with all of the library.
  it.each(names)(
    'examples/%s.ts, with frozen intrinsics and no code from strings',
    (name) => {
      const flags = ['--frozen-intrinsics', '--disallow-code-generation-from-strings'];
      expect(runExample(name, flags)).toEqual(['on the simulator:', ...exampleOutput[name]]);
    },
    120_000 * slowness,
  );
});

it('on a device of arm64, play on the simulator, and say why', () => {
  using arm64 = new Simulator({ architecture: 'arm64' });
  const device = arm64.open();
  using guest = openGuest(
    Uint8Array.of(0xf4),
    (script) => {
      script.out(0xf4, 1, 7);
    },
    () => device,
  );
  expect(guest.machine).toBe(
    `the simulator, as the guests of ${device.path} are of arm64 and this code is of x64`,
  );
  expect(guest.simulated).toBe(true);
  expect(guest.partition.architecture).toBe('x64');
  expect(device.closed).toBe(true);
  expect(guest.vp.run()).toMatchObject({ type: 'io-port', port: 0xf4, value: 7 });
});
