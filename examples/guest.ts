import { GuestMemory, Mshv, MshvError, type Partition, type Vp } from 'mshv';
import { type ScriptedGuest, Simulator } from 'mshv/sim';

import { enterLongMode } from './long-mode.js';

const size = 2 * 2 ** 20;
const entry = 0x100000;

export interface Guest extends Disposable {
  readonly partition: Partition;
  readonly vp: Vp;
  /** Mapped at GPA 0. */
  readonly memory: GuestMemory;
  /** What it runs on. */
  readonly machine: string;
  readonly simulated: boolean;
}

/**
 * A partition with one VP and 2 MiB of memory, whose guest is about to execute `machineCode`, which is of
 * x64. On the simulator, which executes nothing, `script` says what that code does.
 *
 * @param openDevice - what opens the device; where it throws a MshvError there is none
 */
export function openGuest(
  machineCode: Uint8Array,
  script: (guest: ScriptedGuest) => void,
  openDevice: () => Mshv = () => Mshv.open(),
): Guest {
  const { device, machine, simulator } = chooseMachine(openDevice);
  const partition = device.createPartition();
  partition.initialize();
  const memory = GuestMemory.allocate(size, {
    shared: true,
    ...(simulator && { native: Simulator.native }),
  });
  partition.mapMemory(memory, { gpa: 0, name: 'RAM' });
  const vp = partition.createVp(0);
  if (simulator === undefined) {
    memory.write(entry, machineCode);
    enterLongMode(vp, memory, entry, entry);
  } else {
    script(simulator.guest(partition, vp.index));
  }
  return {
    partition,
    vp,
    memory,
    machine,
    simulated: simulator !== undefined,
    [Symbol.dispose]() {
      device.close();
      memory.close();
      simulator?.close();
    },
  };
}

interface Machine {
  readonly device: Mshv;
  readonly machine: string;
  readonly simulator?: Simulator;
}

/** The device, where it executes code of x64; the simulator, where it does not, or there is none. */
function chooseMachine(openDevice: () => Mshv): Machine {
  const device = deviceIfThere(openDevice);
  if (device?.architecture === 'x64') {
    return { device, machine: device.path };
  }
  const simulator = new Simulator();
  const why =
    device === undefined
      ? ''
      : `, as the guests of ${device.path} are of ${device.architecture} and this code is of x64`;
  device?.close();
  return { device: simulator.open(), machine: `the simulator${why}`, simulator };
}

function deviceIfThere(openDevice: () => Mshv): Mshv | undefined {
  try {
    return openDevice();
  } catch (error) {
    if (error instanceof MshvError) {
      return undefined;
    }
    throw error;
  }
}
