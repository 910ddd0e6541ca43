import { describe, expect, it } from 'vitest';

import { reportsIn } from '../sanitizers/report.js';

// Which reports of the sanitizers count. The logs are what gcc's libraries write, shortened.

const ours = '    #1 mshv::Vp::End() ../native/vp.cc:42 (mshv_sim.node+0x1c8bc)';
const fromPath = '    #1 mshv::Vp::End() ../native/vp.cc:42 (/a b/build/Release/mshv.node+0x1c8bc)';
const node = '    #2 uv_thread_create ../deps/uv/src/unix/thread.c:126 (node+0x18baa4b)';
const runtime = '    #0 malloc ../../src/libsanitizer/asan.cpp:69 (libasan.so+0xb68a8)';

const interceptor = '    #0 memcpy ../../x.inc:7 (libtsan.so+0x5e072)';

const race = (...frames: string[]): string =>
  [
    '==================',
    'WARNING: ThreadSanitizer: data race (pid=13718)',
    '  Write of size 1 at 0x7b30000066f8 by thread T5:',
    ...frames,
    '',
    'SUMMARY: ThreadSanitizer: data race mshv.node vp.cc:42 in mshv::Vp::End()',
    '==================',
    '',
  ].join('\n');

const leak = (kind: string, ...frames: string[]): string =>
  [`${kind} leak of 48 byte(s) in 1 object(s) allocated from:`, runtime, ...frames, '', ''].join(
    '\n',
  );

const counted = (log: string): boolean[] => reportsIn(log).map((report) => report.ours);

it('an empty log has no report', () => {
  expect(reportsIn('')).toEqual([]);
  expect(reportsIn('\n==================\n')).toEqual([]);
});

describe('of ThreadSanitizer', () => {
  it('those count that an addon takes part in', () => {
    expect(counted(race(ours))).toEqual([true]);
    expect(counted(race(fromPath))).toEqual([true]);
    expect(counted(race(interceptor, ours, node))).toEqual([true]);
    expect(counted(race(node, '', '  Previous read of size 1 by main thread:', ours))).toEqual([
      true,
    ]);
    expect(counted(race(node, '', '  Thread T5 created by main thread at:', ours))).toEqual([true]);
  });

  it('those do not that Node has in a call from an addon', () => {
    expect(counted(race(interceptor, node, ours))).toEqual([false]);
  });

  it('those count of which nobody knows who it was', () => {
    const lost = '    [failed to restore the stack]';
    expect(counted(race(node, '', '  Previous read of size 1 by main thread:', lost))).toEqual([
      true,
    ]);
  });

  it('those do not that another addon has with whoever it was', () => {
    const lost = '    [failed to restore the stack]';
    const bundler = '    #1 <null> <null> (bundler.linux-x64-gnu.node+0xf85183)';
    const previous = '  Previous write of size 8 by main thread:';
    expect(counted(race(interceptor, bundler, '', previous, lost))).toEqual([false]);
    expect(counted(race(interceptor, bundler, '', previous, ours))).toEqual([true]);
  });

  it('those of Node alone do not, whatever their text names', () => {
    expect(counted(race(node))).toEqual([false]);
    expect(counted(race(node, '    #3 f /src/mshv.node+0x1/x.cc:1 (libmshv.node.so+0x1)'))).toEqual(
      [false],
    );
  });

  it('those of a descriptor count where an addon has made it', () => {
    const origin = '\n  Location is file descriptor 36 created by thread T12 at:';
    expect(counted(race(ours, origin, node, '', ours))).toEqual([false]);
    expect(counted(race(node, origin, ours, '', node))).toEqual([true]);
  });

  it('each is looked at by itself', () => {
    const log = race(node) + race(ours) + race(node);
    expect(counted(log)).toEqual([false, true, false]);
    expect(reportsIn(log)[1]?.title).toBe('WARNING: ThreadSanitizer: data race (pid=13718)');
  });

  it('how many there were is none', () => {
    expect(counted(race(ours) + 'ThreadSanitizer: reported 1 warnings\n')).toEqual([true]);
  });

  it('its own failure counts', () => {
    expect(counted('FATAL: ThreadSanitizer: unexpected memory mapping 0x1-0x2\n')).toEqual([true]);
    expect(counted(`ThreadSanitizer:DEADLYSIGNAL\n${race(node)}`)).toEqual([true, false]);
  });
});

describe('of LeakSanitizer', () => {
  const heading = '\n=================\n==539==ERROR: LeakSanitizer: detected memory leaks\n\n';

  it('those count whose stack has a frame of an addon', () => {
    const log =
      heading + leak('Direct', node) + leak('Indirect', ours, node) + leak('Direct', node);
    expect(counted(log)).toEqual([false, true, false]);
  });

  it('its own failure counts', () => {
    expect(counted('==9==LeakSanitizer has encountered a fatal error.\n')).toEqual([true]);
  });
});

describe('of AddressSanitizer and UndefinedBehaviorSanitizer', () => {
  it('all count, because only the addons are instrumented', () => {
    const title = '==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc 0x2';
    const log = `=====\n${title}\nREAD of size 8 at 0x1 thread T0\n${node}\n==7==ABORTING\n`;
    expect(reportsIn(log)).toMatchObject([{ title, ours: true }]);
    expect(counted(`vp.cc:42:3: runtime error: signed integer overflow: 1 + 2\n${node}\n`)).toEqual(
      [true],
    );
  });

  it('what is no report counts, too', () => {
    expect(counted('==1851==ASan runtime does not come first in initial library list\n')).toEqual([
      true,
    ]);
  });
});
