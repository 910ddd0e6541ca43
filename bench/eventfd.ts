import { EventFd } from '../lib/index.js';
import { Baseline, compileBaseline } from './baseline.js';
import type { Line } from './line.js';
import { type Comparison, compare, interleave, quantile, timed } from './rounds.js';

/**
 * `signal()` against write(2) on the same eventfd.
 *
 * What the ratio depends on most is the processor: where mitigations (AMD's Safe RET, say) leave the
 * returns after a system call unpredicted, each of the functions between the write and JavaScript
 * costs 8 to 10 ns, most of them V8's and Node-API's.
 */
export async function signalLines(): Promise<Line[]> {
  const program = compileBaseline('eventfd', 'gcc', ['bench/eventfd.c']);
  const event = EventFd.create();
  const times = 4000;
  const ours = (): number =>
    timed(() => {
      for (let i = 0; i < times; i++) {
        event.signal();
      }
    }) / times;

  const line = async (args: string[], against: string, goal?: number): Promise<Line> => {
    const loop = new Baseline(program, args, event.fd);
    const baseline = async (): Promise<number> => Number(await loop.ask(`signal ${times}`)) / times;
    const pairs = await interleave(400, ours, baseline);
    loop.end();
    return { name: 'EventFd.signal()', against, goal, ...compare(pairs) };
  };
  const lines = [
    await line(
      ['threaded'],
      'C loop of write(2) on the same eventfd, in a process of two threads',
      1.1,
    ),
    await line([], 'the same loop in a process of one thread'),
  ];
  event.close();
  return lines;
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
      watching[Symbol.dispose]();
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
