import { type IrqFdRoute, MsiRouteTable, type Partition } from '../../../../lib/index.js';
import type { Operation } from '../engine.js';
import type { Situation } from '../situation.js';

export const edge = (vector: number, vp = 0) => ({
  address: 0xfee00000n + BigInt(vp << 12),
  data: vector,
});
export const level = (vector: number) => ({ address: 0xfee00000n, data: 0xc000 | vector });

export interface RouteOperation {
  readonly name: string;
  /** Its system calls where nothing fails. */
  readonly calls: string;
  /** The routes that there are before. */
  arrange(partition: Partition): IrqFdRoute[];
  /** What is to be done with them. Returns the routes that it made. */
  act(partition: Partition, routes: readonly IrqFdRoute[]): IrqFdRoute[];
}

function onRoute(
  name: string,
  calls: string,
  arrange: RouteOperation['arrange'],
  act: (route: IrqFdRoute) => void,
): RouteOperation {
  return {
    name,
    calls,
    arrange,
    act: (_: Partition, [route]: readonly IrqFdRoute[]) => {
      if (route !== undefined) act(route);
      return [];
    },
  };
}

const live = ({ irqfd }: Partition) => [irqfd.newRoute({ msi: edge(0x31) })];
const masked = ({ irqfd }: Partition) => [irqfd.newRoute({ msi: edge(0x31), masked: true })];
const withoutMsi = ({ irqfd }: Partition) => [irqfd.newRoute()];
const resampling = ({ irqfd }: Partition) => [
  irqfd.newResampleRoute({ vector: 0x60, msi: level(0x60) }),
];
const nothing = (): IrqFdRoute[] => [];

export const everything: RouteOperation = {
  name: 'a batch of everything',
  calls:
    'create create create create create disarm disarm disarm disarm disarm push arm arm arm arm arm arm',
  arrange: (partition) => [
    ...live(partition),
    ...masked(partition),
    ...withoutMsi(partition),
    ...live(partition),
    ...live(partition),
    ...live(partition),
    ...masked(partition),
    ...resampling(partition),
  ],
  act: ({ irqfd }, [moved, unmasked, first, cleared, shut, silenced, remasked, resample]) =>
    irqfd.batch(() => {
      moved?.setMsi(0xfee01000n, 0x41);
      unmasked?.unmask();
      first?.setMsi(0xfee02000n, 0x42);
      cleared?.clearMsi();
      shut?.close();
      silenced?.mask();
      remasked?.unmask();
      remasked?.setMsi(0xfee03000n, 0x43);
      remasked?.mask();
      resample?.setMsi(0xfee01000n, 0xc060);
      irqfd.newRoute({ msi: edge(0x44) }).close();
      return [
        irqfd.newRoute({ msi: edge(0x45) }),
        irqfd.newRoute(),
        irqfd.newResampleRoute({ vector: 0x61, msi: level(0x61) }),
      ];
    }),
};

export const routeOperations: readonly RouteOperation[] = [
  {
    name: 'newRoute() without an MSI',
    calls: 'create',
    arrange: nothing,
    act: ({ irqfd }) => [irqfd.newRoute()],
  },
  {
    name: 'newRoute() with an MSI',
    calls: 'create push arm',
    arrange: nothing,
    act: ({ irqfd }) => [irqfd.newRoute({ msi: edge(0x40) })],
  },
  {
    name: 'newRoute() with an MSI, masked',
    calls: 'create push',
    arrange: nothing,
    act: ({ irqfd }) => [irqfd.newRoute({ msi: edge(0x40), masked: true })],
  },
  {
    name: "newRoute() on another route's eventfd, that one being masked",
    calls: 'dup push arm',
    arrange: masked,
    act: ({ irqfd }, [other]) => [
      irqfd.newRoute({ msi: edge(0x40), ...(other && { event: other.event }) }),
    ],
  },
  {
    name: 'newResampleRoute() with an MSI',
    calls: 'create create push arm',
    arrange: nothing,
    act: ({ irqfd }) => [irqfd.newResampleRoute({ vector: 0x60, msi: level(0x60) })],
  },
  onRoute('setMsi(), the first one', 'push arm', withoutMsi, (route) => {
    route.setMsi(0xfee01000n, 0x41);
  }),
  onRoute('setMsi() of a live route', 'disarm push arm', live, (route) => {
    route.setMsi(0xfee01000n, 0x41);
  }),
  onRoute('setMsi() of a masked route', 'push', masked, (route) => {
    route.setMsi(0xfee01000n, 0x41);
  }),
  onRoute('setMsi() of a live resample route', 'disarm push arm', resampling, (route) => {
    route.setMsi(0xfee01000n, 0xc060);
  }),
  onRoute('trySetMsi() of a live route', 'disarm push arm', live, (route) => {
    route.trySetMsi(0xfee01000n, 0x41);
  }),
  onRoute('trySetMsi() of a live route, refused', 'disarm push', live, (route) => {
    route.trySetMsi(0n, 0x41);
  }),
  onRoute('clearMsi() of a live route', 'disarm push', live, (route) => {
    route.clearMsi();
  }),
  onRoute('clearMsi() of a masked route', 'push', masked, (route) => {
    route.clearMsi();
  }),
  onRoute('mask()', 'disarm', live, (route) => {
    route.mask();
  }),
  onRoute('unmask()', 'arm', masked, (route) => {
    route.unmask();
  }),
  onRoute('close() of a live route', 'disarm push', live, (route) => {
    route.close();
  }),
  onRoute('close() of a masked route', 'push', masked, (route) => {
    route.close();
  }),
  onRoute('close() of a resample route', 'disarm push', resampling, (route) => {
    route.close();
  }),
  everything,
  {
    name: 'a batch that swaps two MSIs',
    calls: 'disarm disarm push arm arm',
    arrange: (partition) => [...live(partition), partition.irqfd.newRoute({ msi: edge(0x32) })],
    act: ({ irqfd }, [one, other]) => {
      irqfd.batch(() => {
        one?.setMsi(0xfee00000n, 0x32);
        other?.setMsi(0xfee00000n, 0x31);
      });
      return [];
    },
  },
  {
    name: 'a batch that replaces all routes',
    calls: 'create create disarm disarm push arm arm',
    arrange: (partition) => [...live(partition), ...live(partition), ...masked(partition)],
    act: ({ irqfd }, routes) =>
      irqfd.batch(() => {
        routes.forEach((route) => {
          route.close();
        });
        return [irqfd.newRoute({ msi: edge(0x45) }), irqfd.newRoute({ msi: edge(0x46) })];
      }),
  },
];

/** All of them among routes that they are not about, and the partition's end. */
export const routes: readonly Operation[] = [
  ...routeOperations.map((operation): Operation => ({
    name: operation.name,
    steps: operation.calls,
    // What arming leaves in the counter is read away: the driver has injected it.
    outcome: ({ name }) => (name === 'read' ? 'done' : undefined),
    arrange: (situation) => {
      const { partition } = situation;
      arrangeBystanders(situation);
      const present = operation.arrange(partition);
      for (const route of present) situation.own(route);
      return () => {
        for (const made of operation.act(partition, present)) situation.own(made);
      };
    },
  })),
  {
    name: 'table.commit()',
    steps: 'push',
    arrange: (situation) => {
      const { device, native } = situation;
      // Whose own routes nobody changes.
      const { fd } = situation.own(device.createPartition());
      const table = situation.own(new MsiRouteTable((words) => native.setMsiRouting(fd, words)));
      return () => table.commit([{ gsi: 7, msi: edge(0x41) }]);
    },
  },
  {
    name: 'disposal of a live route',
    steps: 'disarm push',
    arrange: (situation) => {
      const [route] = live(situation.partition);
      if (route !== undefined) situation.own(route);
      return () => {
        route?.[Symbol.dispose]();
      };
    },
  },
  {
    name: 'route.pending',
    arrange: (situation) => {
      const route = situation.own(situation.partition.irqfd.newRoute());
      route.event.signal(3);
      return () => route.pending;
    },
  },
  {
    name: 'route.takePending()',
    arrange: (situation) => {
      const route = situation.own(situation.partition.irqfd.newRoute());
      route.event.signal(3);
      return () => route.takePending();
    },
    // Somebody else was faster.
    outcome: (_, { errno }) => (errno === 'EAGAIN' ? 'otherwise' : undefined),
  },
  ...(['close', Symbol.dispose] as const).map((method): Operation => ({
    name: `${String(method)} of a partition with routes and doorbells`,
    arrange: (situation) => {
      const { partition } = situation;
      arrangeBystanders(situation);
      for (const route of everything.arrange(partition)) situation.own(route);
      situation.own(partition.registerDoorbell({ gpa: 0x1000 }));
      situation.own(partition.registerDoorbell({ gpa: 0x2000, size: 4, match: 1 }));
      return () => {
        partition[method]();
      };
    },
    outcome: () => 'ended',
  })),
];

function arrangeBystanders(situation: Situation): void {
  const { irqfd } = situation.partition;
  situation.own(irqfd.newRoute({ msi: edge(0x21) }));
  situation.own(irqfd.newRoute({ msi: edge(0x22), masked: true }));
}
