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
 * A partition with one VP and 2 MiB of memory, whose guest is about to execute `machineCode`. On the
 * simulator, which executes nothing, `script` says what that code does.
 */
export function openGuest(machineCode: Uint8Array, script: (guest: ScriptedGuest) => void): Guest {
  const simulator = deviceIsThere() ? undefined : new Simulator();
  const device = simulator?.open() ?? Mshv.open();
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
    machine: simulator === undefined ? device.path : 'the simulator',
    simulated: simulator !== undefined,
    [Symbol.dispose]() {
      device.close();
      memory.close();
      simulator?.close();
    },
  };
}

function deviceIsThere(): boolean {
  try {
    Mshv.open().close();
    return true;
  } catch (error) {
    if (error instanceof MshvError) {
      return false;
    }
    throw error;
  }
}
