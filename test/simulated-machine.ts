import type { Mshv, Partition, Vp } from '../lib/index.js';
import { Simulator, type ScriptedGuest, type SimulatorOptions } from '../lib/sim/index.js';

/** A simulator with one partition, whose first VP has a guest. */
export interface SimulatedMachine {
  readonly simulator: Simulator;
  readonly device: Mshv;
  readonly partition: Partition;
  readonly vp: Vp;
  readonly guest: ScriptedGuest;
}

export function simulatedMachine(vps: number, options?: SimulatorOptions): SimulatedMachine {
  const simulator = new Simulator(options);
  const device = simulator.open();
  const partition = device.createPartition();
  partition.initialize();
  const vp = partition.createVp(0);
  for (let index = 1; index < vps; index++) partition.createVp(index);
  return { simulator, device, partition, vp, guest: simulator.guest(partition, 0) };
}
