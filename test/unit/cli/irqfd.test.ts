import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { IrqfdReport } from '../../../lib/cli/irqfd-check.js';
import { describeReport, verdictOf } from '../../../lib/cli/irqfd-report.js';
import { runProgram } from '../../../lib/cli/program.js';
import { wrap } from '../../../lib/cli/terminal.js';
import { Simulator } from '../../../lib/sim/index.js';
import { openDescriptors } from '../../open-descriptors.js';
import { CapturedTerminal, screens, wideLines } from './captured-terminal.js';

async function run(isTTY: boolean, ...args: string[]) {
  const terminal = new CapturedTerminal(isTTY);
  const status = await runProgram(['irqfd', ...args], terminal);
  return { status, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

const escape = '\u001b';

// Whoever runs the tests may have chosen for all programs.
beforeEach(() => {
  for (const variable of ['FORCE_COLOR', 'NO_COLOR', 'NODE_DISABLE_COLORS']) {
    vi.stubEnv(variable, undefined);
  }
  return () => {
    vi.unstubAllEnvs();
  };
});

describe('mshv irqfd', () => {
  it('fits a screen of 80 columns and 40 lines', async () => {
    const { status, stdout, stderr } = await run(false, '--device', 'sim');
    expect(status).toBe(0);
    expect(stderr).toBe('');
    expect(wideLines(stdout, 80)).toEqual([]);
    expect(stdout.split('\n').length).toBeLessThanOrEqual(41);
    expect(stdout).not.toContain(escape);
  });

  it('explains itself', async () => {
    const { stdout } = await run(false, '--device', 'sim');
    const text = stdout.replace(/\s+/g, ' ');
    expect(text).toContain(
      'Device simulator Partition x64, driver v2, 4 VPs, 256 routes armed by 1 push',
    );
    expect(text).toContain('48 a route; 1 interrupt in 4 is made of 3 signals sent while masked');
    expect(text).toContain('all 256-511 12288 4096 8192 0 0');
    expect(text).toMatch(/p50 [\d.]+ [num]?s, p90 .* max/);
    expect(text).toContain('All right: 12288 signals, 8192 interrupts; lost 0, extra 0, wrong 0.');
  });

  it('shows each route where there are few', async () => {
    const { stdout } = await run(
      false,
      '--device=sim',
      '--routes=2',
      '--signals=5',
      '--mask-every=0',
    );
    expect(stdout).toMatch(/^ +0 +256 +0x10 +5 +0 +5 +0 +0$/m);
    expect(stdout).toMatch(/^ +1 +257 +0x88 +5 +0 +5 +0 +0$/m);
    expect(stdout).toContain('5 a route, none while masked');
    expect((await run(false, '--device=sim', '--routes=1', '--mask-every=1')).stdout).toContain(
      '48 a route; each interrupt is made of 3 signals',
    );
  });

  it('prints one JSON object with all that the table has', async () => {
    const { status, stdout, stderr } = await run(false, '--device=sim', '--routes=300', '--json');
    expect(status).toBe(0);
    expect(stderr).toBe('');
    const report = JSON.parse(stdout) as IrqfdReport;
    expect(Object.keys(report)).toEqual([
      'version',
      'node',
      'kernel',
      'arch',
      'cpu',
      'cpus',
      'date',
      'arguments',
      'ok',
      'interrupted',
      'device',
      'partition',
      'plan',
      'total',
      'routes',
      'faults',
      'latencyNs',
      'seconds',
    ]);
    expect(report.routes).toHaveLength(300);
    expect(describeReport(report, 80)).toContain('latency');
  });

  // There no MSI has a destination: routes of several VPs raise one interrupt.
  it.each(['4', '300'])('checks %s routes of a simulator of arm64', async (routes) => {
    const args = ['--device=sim', '--architecture=arm64', '--routes', routes, '--signals=8'];
    const { status, stdout, stderr } = await run(false, ...args, '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const report = JSON.parse(stdout) as IrqfdReport;
    expect(report).toMatchObject({ ok: true, partition: { architecture: 'arm64' } });
    expect(report.total.interrupts).toBeGreaterThan(0);
    expect(describeReport(report, 80)).toContain('arm64, driver v2');
  });

  it('colours the verdict on a terminal only', async () => {
    const args = ['--device=sim', '--routes=1', '--signals=1'];
    expect((await run(true, ...args)).stdout).toContain(`${escape}[32mAll right`);
    expect((await run(false, ...args)).stdout).not.toContain(escape);
  });

  it.each([[[]], [['--json']]])(
    'exits with 1 where interrupts are lost %j',
    async (json: string[]) => {
      const guest = vi.spyOn(Simulator.prototype, 'interrupts').mockReturnValue([]);
      const { status, stdout } = await run(
        false,
        '--device=sim',
        '--routes=2',
        '--signals=3',
        ...json,
      );
      guest.mockRestore();
      expect(status).toBe(1);
      expect(stdout).toContain(json.length === 0 ? 'MISMATCH: lost 6, extra 0' : '"ok": false');
    },
  );

  it('leaves no descriptor open, whatever comes of it', async () => {
    const before = openDescriptors();
    expect((await run(false, '--device=sim', '--routes=2', '--signals=3')).status).toBe(0);
    expect((await run(false, '--device=/dev/null')).status).toBe(1);
    expect(openDescriptors()).toBe(before);
  });

  it('says what the driver of a path refuses, without a stack', async () => {
    const { status, stdout, stderr } = await run(false, '--device', '/dev/null');
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      'mshv irqfd: cannot create a partition: ENOTTY (MSHV_CREATE_PARTITION): this is not the mshv device\n',
    );
  });

  it('says why a path cannot be opened and what to do', async () => {
    const { status, stdout, stderr } = await run(false, '--device', '/nowhere/mshv');
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^mshv irqfd: cannot open \/nowhere\/mshv: ENOENT \(open\): .+; .+\n$/);
  });
});

describe('a report', () => {
  it.each(screens)('fits %i columns with the largest numbers', (width) => {
    const million = 1_000_000;
    const routes = Array.from({ length: 4095 }, (_, index) => ({
      gsi: index + 1,
      vp: Math.floor(index / 228),
      vector: 255,
      signals: million,
      coalesced: million,
      interrupts: million,
      lost: 0,
      extra: 0,
    }));
    const count = 4095 * million;
    const report: IrqfdReport = {
      ok: false,
      interrupted: true,
      device: { kind: 'simulator', path: 'sim:1', why: 'no device '.repeat(20) },
      partition: {
        generation: 'v2',
        architecture: 'arm64',
        vps: 256,
        routes: 4095,
        tablePushes: { arming: 1, masking: count },
      },
      plan: { signals: million, maskEvery: million, maskedBurst: 3 },
      total: {
        signals: count,
        coalesced: count,
        interrupts: count,
        lost: 0,
        extra: 0,
        wrong: count,
      },
      routes,
      faults: [
        {
          kind: 'extra',
          gsi: 4095,
          vp: 255,
          vector: 255,
          signals: million,
          detail: 'a long story '.repeat(12),
        },
      ],
      latencyNs: {
        count,
        min: 1,
        p50: 123_456,
        p90: 123_456_789,
        p99: 999_999,
        max: 9_999_999_999,
        buckets: [
          { from: 200e6, to: 500e6, count },
          { from: 500e6, to: 1e9, count: 1 },
        ],
      },
      seconds: 1,
    };
    const fits = (text: string) => {
      expect(wideLines(text, width)).toEqual([]);
    };
    fits(describeReport(report, width));
    fits(wrap(verdictOf(report), width));
    const good = { ...report, ok: true, total: { ...report.total, wrong: 0 } };
    fits(wrap(verdictOf(good), width));
    const unseen = { ...report, total: { ...report.total, interrupts: null } };
    fits(wrap(verdictOf(unseen), width));
    fits(wrap(verdictOf({ ...unseen, ok: true }), width));
  });
});
