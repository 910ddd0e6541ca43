import { vpArgument } from '../abi/arguments.js';
import { apicIdsOf, type PartitionCalls } from '../hypercall/partition-calls.js';
import { ownPartition } from '../hypercall/shared-partition.js';
import { ApicIds } from '../irq/apic-ids.js';
import {
  makeToken,
  receivingNative,
  takeOffer,
  tokenArgument,
  type ReceiveOptions,
  type VpToken,
} from '../share-token.js';
import { VpDescriptor } from './vp-descriptor.js';

/** Offers duplicates of the VP's, its arbiter's and the partition's descriptor. */
export function shareVp(vp: VpDescriptor, partition: PartitionCalls): VpToken {
  const { native, index, attached, arbiter } = vp;
  const token = makeToken(native, 'vp', `VP ${index}`, [attached, arbiter, partition.fd]);
  return { ...token, index, apicIds: apicIdsOf(partition).memory };
}

/** Takes them. */
export function receiveVp(
  token: VpToken,
  options: ReceiveOptions,
): [vp: VpDescriptor, partition: PartitionCalls & Disposable] {
  const checked = tokenArgument('vp', token);
  const index = vpArgument('token.index', token.index);
  const apicIds = ApicIds.ofToken(token);
  const native = receivingNative(checked, options);
  const [vp = -1, arbiter = -1, partition = -1] = takeOffer(native, checked);
  const shared = ownPartition(native, partition, apicIds);
  return [new VpDescriptor(native, vp, index, arbiter), shared];
}
