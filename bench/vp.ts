import { closeSync, existsSync, openSync, writeSync } from 'node:fs';

import { enterLongMode } from '../examples/long-mode.js';
import { GuestMemory, Mshv, type Partition, type Vp } from '../lib/index.js';
import type { Native } from '../lib/native.js';
import { simNative } from '../lib/sim/sim-native.js';
import { Simulator } from '../lib/sim/index.js';
import { Baseline, compileBaseline, objectsOf } from './baseline.js';
import type { Line } from './line.js';
import { compare, interleave, timed } from './rounds.js';

const port = 0x10;
const gibibyte = 2 ** 30;
const doorbellGpa = 3 * gibibyte;

/** A partition with VP 0, whose guest writes a byte to a port, again and again. */
interface Machine {
  readonly name: string;
  readonly native: { native?: Native };
  readonly partition: Partition;
  readonly vp: Vp;
  readonly baseline: Baseline;
  /** Sees to it that the guest exits `times` times. */
  prepareExits: (times: number) => void;
  /** The guest writes 4 bytes to the doorbell. */
  ring: () => void;
  close: () => void;
}

/** The driver of the lab: its guest executes, and the baseline runs the same VP in turns with us. */
function labMachine(): Machine {
  const device = Mshv.open();
  const partition = device.createPartition();
  partition.initialize();
  const memory = GuestMemory.allocate(2 * 2 ** 20);
  partition.mapMemory(memory, { gpa: 0 });
  const vp = partition.createVp(0);
  const entry = 0x100000;
  memory.write(entry, Uint8Array.of(0xe6, port, 0xeb, 0xfc)); // out %al, $0x10; jmp back
  enterLongMode(vp, memory, entry, entry);
  const hypervisor = openSync('/dev/fakehv', 'r+');
  const program = compileBaseline('vp_on_device', 'g++', [
    'bench/vp.cc',
    'bench/vp_on_device.cc',
    ...objectsOf('mshv'),
  ]);
  const baseline = new Baseline(program, [], partition.fd, vp.fd);
  return {
    name: 'the real driver, the same VP',
    native: {},
    partition,
    vp,
    baseline,
    prepareExits: () => undefined,
    ring: () => {
      writeSync(hypervisor, `mmio 0 ${doorbellGpa} 4 1`);
    },
    close: () => {
      baseline.end();
      closeSync(hypervisor);
      device.close();
      memory.close();
    },
  };
}

/** The simulated driver, which takes hardly any time: what remains is the binding. */
function simulatedMachine(): Machine {
  const simulator = new Simulator();
  const partition = simulator.open().createPartition();
  partition.initialize();
  const vp = partition.createVp(0);
  const guest = simulator.guest(partition, 0);
  const program = compileBaseline('vp_on_simulator', 'g++', [
    'bench/vp.cc',
    'bench/vp_on_simulator.cc',
    ...objectsOf('mshv_sim'),
  ]);
  const baseline = new Baseline(program);
  const native = simNative();
  return {
    name: 'the simulated driver',
    native: { native },
    partition,
    vp,
    baseline,
    prepareExits: (times) => {
      for (let i = 0; i < times; i++) {
        guest.out(port, 1, 0x55);
      }
    },
    ring: () => {
      native.simWriteMmio(partition.fd, BigInt(doorbellGpa), 4, 1n);
    },
    close: () => {
      baseline.end();
      simulator.close();
    },
  };
}

/** Running VPs, their registers, memory and doorbells, against C++ that issues the same ioctls. */
export async function vpLines(): Promise<Line[]> {
  const machine = existsSync('/dev/fakehv') ? labMachine() : simulatedMachine();
  try {
    return [
      await runLine(machine),
      await startLine(machine),
      await registerLine(machine),
      await mapLine(machine),
      await doorbellLine(machine),
    ];
  } finally {
    machine.close();
  }
}

/** Runs until `times` port writes are completed. */
function runTimes(vp: Vp, times: number): void {
  for (let i = 0; i < times; i++) {
    const exit = vp.run();
    if (exit?.type !== 'io-port' || exit.port !== port) {
      throw new Error(`the guest left with ${exit?.type ?? 'nothing'}`);
    }
    vp.completeIoPort(exit);
  }
}

async function measured(
  { baseline }: Machine,
  request: string,
  rounds: number,
  times: number,
  ours: () => number | Promise<number>,
): Promise<ReturnType<typeof compare>> {
  const theirs = async (): Promise<number> =>
    Number(await baseline.ask(`${request} ${times}`)) / times;
  return compare(await interleave(rounds, async () => (await ours()) / times, theirs));
}

async function runLine(machine: Machine): Promise<Line> {
  const { vp, prepareExits } = machine;
  const times = 2000;
  const line = await measured(machine, 'run', 40, times, () => {
    prepareExits(times);
    return timed(() => {
      runTimes(vp, times);
    });
  });
  prepareExits(times);
  const before = process.memoryUsage().heapUsed;
  runTimes(vp, times);
  const bytes = (process.memoryUsage().heapUsed - before) / times;
  return {
    name: 'vp.run() + completeIoPort()',
    against: `MSHV_RUN_VP and RIP in the register page, on ${machine.name}`,
    goal: machine.native.native === undefined ? 1.15 : undefined,
    note: `${bytes.toFixed(1)} bytes of heap per exit`,
    ...line,
  };
}

async function startLine(machine: Machine): Promise<Line> {
  const { vp, prepareExits } = machine;
  const times = 1000;
  const line = await measured(machine, 'thread', 20, times, async () => {
    prepareExits(times);
    let left = times;
    const start = process.hrtime.bigint();
    await vp.start((exit) => {
      if (exit.type !== 'io-port') {
        throw new Error(`the guest left with ${exit.type}`);
      }
      vp.completeIoPort(exit);
      return --left === 0 ? 'stop' : undefined;
    }).finished;
    return Number(process.hrtime.bigint() - start);
  });
  return {
    name: 'vp.start(handler) round trip',
    against: 'C++: a thread that runs the VP, an epoll loop that completes',
    ...line,
  };
}

async function registerLine(machine: Machine): Promise<Line> {
  const page = machine.vp.registerPage;
  if (page?.valid !== true) {
    throw new Error('the VP has no valid register page');
  }
  const times = 100_000;
  const registers = new BigUint64Array(18);
  const line = await measured(machine, 'registers', 40, times, () =>
    timed(() => {
      for (let i = 0; i < times; i++) {
        page.copyGeneral(registers);
      }
    }),
  );
  return {
    name: 'registerPage.copyGeneral()',
    against: 'memcpy of the same 18 registers',
    extra: 50,
    ...line,
  };
}

async function mapLine(machine: Machine): Promise<Line> {
  const memory = GuestMemory.allocate(gibibyte, machine.native);
  const times = 20;
  const line = await measured(machine, 'map', 20, times, () =>
    timed(() => {
      for (let i = 0; i < times; i++) {
        machine.partition.mapMemory(memory, { gpa: gibibyte }).unmap();
      }
    }),
  );
  memory.close();
  return { name: 'mapMemory() + unmap() of 1 GiB', against: 'the same two ioctls', ...line };
}

async function doorbellLine(machine: Machine): Promise<Line> {
  const times = 200;
  const line = await measured(machine, 'doorbell', 20, times, async () => {
    const doorbell = machine.partition.registerDoorbell({ gpa: doorbellGpa, size: 4 });
    let left = times;
    const duration = await new Promise<number>((resolve) => {
      const start = process.hrtime.bigint();
      doorbell.event.watch(() => {
        if (--left === 0) {
          resolve(Number(process.hrtime.bigint() - start));
        } else {
          machine.ring();
        }
      });
      machine.ring();
    });
    doorbell.close();
    return duration;
  });
  return {
    name: "guest's write to doorbell callback",
    against: 'the same write, waited for in a C++ epoll loop',
    ...line,
  };
}
