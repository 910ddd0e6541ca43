import { EventFd } from '../lib/index.js';
import { Baseline, compileBaseline } from './baseline.js';
import type { Line } from './line.js';
import { type Comparison, compare, interleave, quantile, timed } from './rounds.js';

/**
 * `signal()` against write(2), each on an eventfd of its own: one whose descriptor nobody was given, and one that others
 * have, whose writes are bounded.
 *
 * What the ratio depends on most is the processor: where mitigations (AMD's Safe RET, say) leave the
 * returns after a system call unpredicted, each of the functions between the write and JavaScript
 * costs 8 to 10 ns, most of them V8's and Node-API's.
 */
export async function signalLines(): Promise<Line[]> {
  const program = compileBaseline('eventfd', 'gcc', ['bench/eventfd.c']);
  using own = EventFd.create();
  using shared = EventFd.create();
  using written = EventFd.create();
  // Reading it makes the event one that others have.
  if (shared.fd === written.fd) throw new Error('two eventfds have one descriptor');
  const times = 4000;

  const line = async (
    [name, event]: readonly [string, EventFd],
    args: string[],
    against: string,
    goal?: number,
  ): Promise<Line> => {
    const ours = (): number =>
      timed(() => {
        for (let i = 0; i < times; i++) {
          event.signal();
        }
      }) / times;
    const loop = new Baseline(program, args, written.fd);
    const baseline = async (): Promise<number> => Number(await loop.ask(`signal ${times}`)) / times;
    const pairs = await interleave(400, ours, baseline);
    loop.end();
    return { name, against, goal, ...compare(pairs) };
  };
  const kept = ['EventFd.signal()', own] as const;
  const given = ['EventFd.signal() of one that others have', shared] as const;
  const twoThreads = 'C loop of write(2) on another eventfd, in a process of two threads';
  return [
    await line(kept, ['threaded'], twoThreads, 1.1),
    await line(kept, [], 'the same loop in a process of one thread'),
    await line(given, ['threaded'], twoThreads),
  ];
}

/** From the write of another process to the listener of `watch()`, against a C epoll loop. */
export async function watchLines(): Promise<Line[]> {
  const program = compileBaseline('eventfd', 'gcc', ['bench/eventfd.c']);
  const event = EventFd.create();
  const writer = new Baseline(program, ['threaded'], event.fd);
  const receiver = new Baseline(program, ['threaded'], event.fd);
  const times = 300;

  const measure = async (pace: string): Promise<(percentile: number) => Comparison> => {
    const ours = async (): Promise<number[]> => {
      const latencies: number[] = [];
      const watching = event.watch((sent) => {
        latencies.push(Number(process.hrtime.bigint() - sent));
      });
      await writer.ask(pace);
      watching.close();
      event.tryRead();
      return latencies;
    };
    const baseline = async (): Promise<number[]> => {
      await receiver.ask(`receive ${times}`);
      const [latencies] = await Promise.all([receiver.answer(), writer.ask(pace)]);
      return latencies.trim().split(' ').map(Number);
    };
    const pairs = await interleave(40, ours, baseline);
    return (percentile) =>
      compare(
        pairs.map((pair) => ({
          ours: quantile(pair.ours, percentile / 100),
          baseline: quantile(pair.baseline, percentile / 100),
        })),
      );
  };
  const busy = await measure(`busy ${times} 50000`);
  const idle = await measure(`idle ${times} 50000`);
  writer.end();
  receiver.end();
  event.close();

  const name = 'EventFd.watch()';
  const against = 'C epoll loop; another process writes each 50 us and';
  return [
    { name: `${name}, p50`, against: `${against} spins in between`, goal: 1.6, ...busy(50) },
    { name: `${name}, p99`, against: `${against} spins in between`, ...busy(99) },
    { name: `${name}, p50, CPU halts`, against: `${against} sleeps in between`, ...idle(50) },
  ];
}
