import type { IrqFdRoute, Partition } from '../lib/index.js';
import { Simulator } from '../lib/sim/index.js';
import { Baseline, compileBaseline, objectsOf } from './baseline.js';
import type { Counts, Line } from './line.js';
import { compare, interleave, timed } from './rounds.js';

const routed = 4000;
const address = 0xfee00000n;

/** What one operation took. */
interface Cost {
  ns: number;
  counts: Counts;
}

/** Changes of routes, 4000 routed, against OpenVMM's algorithm on the same simulated driver. */
export async function routeLines(): Promise<Line[]> {
  const seed = new Baseline(compileSeed());
  const simulator = new Simulator();
  const device = simulator.open();

  const newPartition = (): Partition => {
    const partition = device.createPartition();
    partition.initialize();
    partition.createVp(0);
    return partition;
  };
  const counted = (partition: Partition, operations: number, work: () => void): Cost => {
    const tablesBefore = simulator.calls('MSHV_SET_MSI_ROUTING');
    const irqfdsBefore = simulator.calls('MSHV_IRQFD');
    const ns = timed(work);
    const tables = simulator.calls('MSHV_SET_MSI_ROUTING') - tablesBefore;
    const irqfds = simulator.calls('MSHV_IRQFD') - irqfdsBefore;
    const entries = tables * simulator.routes(partition).length;
    return each(operations, ns, tables + irqfds, entries);
  };
  const asked = async (request: string, operations: number): Promise<Cost> => {
    const answer = await seed.ask(request);
    const [ns = NaN, ioctls = NaN, entries = NaN] = answer.split(' ').map(Number);
    return each(operations, ns, ioctls, entries);
  };
  const line = async (
    name: string,
    rounds: number,
    ours: () => Cost,
    baseline: () => Promise<Cost>,
  ): Promise<Line> => {
    const pairs = await interleave(rounds, ours, baseline);
    const [first] = pairs;
    return {
      name,
      against: "OpenVMM's algorithm in C++ on the same simulated driver",
      ...compare(pairs.map((pair) => ({ ours: pair.ours.ns, baseline: pair.baseline.ns }))),
      counts: first && { ours: first.ours.counts, baseline: first.baseline.counts },
    };
  };

  const arm = (partition: Partition): IrqFdRoute[] =>
    partition.irqfd.batch(() =>
      Array.from({ length: routed }, () => {
        const route = partition.irqfd.newRoute();
        route.setMsi(address, 0x41);
        return route;
      }),
    );
  const setMsi = (route: IrqFdRoute): void => {
    route.setMsi(address, (route.route?.data ?? 0) ^ 1);
  };

  const armed = await line(
    `batch of ${routed} newRoute() + setMsi()`,
    10,
    () => {
      const partition = newPartition();
      const cost = counted(partition, 1, () => arm(partition));
      partition.close();
      return cost;
    },
    () => asked(`arm ${routed}`, 1),
  );

  const partition = newPartition();
  const routes = arm(partition);
  const some = routes.slice(0, 50);
  const single = (
    name: string,
    change: (route: IrqFdRoute) => void,
    request: string,
  ): Promise<Line> =>
    line(
      name,
      120,
      () =>
        counted(partition, some.length, () => {
          some.forEach(change);
        }),
      () => asked(`${request} ${some.length}`, some.length),
    );
  const live = await single('setMsi(), live route', setMsi, 'setMsi');
  const masking = await single(
    'mask() + unmask()',
    (route) => {
      route.mask();
      route.unmask();
    },
    'mask',
  );
  partition.irqfd.batch(() => {
    for (const route of routes) {
      route.mask();
    }
  });
  const masked = await single('setMsi(), masked route', setMsi, 'setMsi');
  const remapped = await line(
    `batch of ${routed} setMsi(), masked`,
    10,
    () =>
      counted(partition, 1, () => {
        partition.irqfd.batch(() => {
          routes.forEach(setMsi);
        });
      }),
    () => asked(`setMsi ${routed}`, 1),
  );
  seed.end();
  simulator.close();
  return [live, masked, masking, armed, remapped];
}

function each(operations: number, ns: number, ioctls: number, entries: number): Cost {
  return {
    ns: ns / operations,
    counts: { ioctls: ioctls / operations, entries: entries / operations },
  };
}

function compileSeed(): string {
  const sources = ['bench/seed_routes.cc', ...objectsOf('mshv_sim')];
  return compileBaseline('seed_routes', 'g++', ['-std=c++20', ...sources]);
}
