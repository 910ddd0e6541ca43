import { parentPort, workerData } from 'node:worker_threads';

import { SharedPartition, Vp, x64Registers } from '../../../lib/index.js';
import type { PartitionToken, VpToken } from '../../../lib/index.js';
import { Simulator } from '../../../lib/sim/index.js';

/** What a thread has of a partition: one or the other. */
export interface ApicIdWork {
  readonly partition: PartitionToken;
  readonly vp: VpToken;
}

/** Gives a VP its APIC id, by what the thread has, or requests MSIs. */
export type ApicIdStep =
  | { readonly by: 'partition'; readonly vp: number; readonly id: bigint }
  | { readonly by: 'vp'; readonly id: bigint }
  | { readonly by: 'msi'; readonly address: bigint; readonly data: number };

const { partition: partitionToken, vp: vpToken } = workerData as ApicIdWork;
const native = { native: Simulator.native };
const partition = SharedPartition.receive(partitionToken, native);
const vp = Vp.receive(vpToken, native);

function take(step: ApicIdStep): unknown {
  switch (step.by) {
    case 'partition':
      partition.setRegisters(
        step.vp,
        Uint32Array.of(x64Registers.APIC_ID),
        BigUint64Array.of(step.id, 0n),
      );
      return undefined;
    case 'vp':
      vp.setRegisters({ INITIAL_APIC_ID: step.id });
      return vp.apicId;
    case 'msi':
      return partition.tryRequestMsi(step.address, step.data);
  }
}

parentPort?.on('message', (step: ApicIdStep) => {
  let answer: unknown;
  try {
    answer = take(step);
  } catch (error) {
    answer = (error as NodeJS.ErrnoException).code;
  }
  parentPort?.postMessage(answer);
});
parentPort?.postMessage('begun');
