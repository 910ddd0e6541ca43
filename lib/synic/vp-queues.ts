import { limits } from '../abi/limits.js';
import { synicLimits } from '../abi/synic.js';
import { SintQueue, type Poster, type QueuedMessage } from './sint-queue.js';

/** The queues of one VTL of a VP. */
export class VpQueues {
  readonly vtl: number;
  readonly vp: number;
  readonly sints: readonly SintQueue[];
  /** Who posts without a port, by SINT. */
  readonly anonymous: readonly Poster[];
  /** The SINTs whose slot was busy, and whose notification has not come. */
  blocked = 0;
  /** What the register holds; undefined where that is not known. */
  registered: number | undefined = 0;
  /** The register's owner is being told. */
  notifying = false;
  /** The SINTs that are being delivered to. */
  flushing = 0;
  /** The SINTs whose notification came while they were. */
  deliverable = 0;
  /** The messages that are being posted. */
  readonly posting = new Set<QueuedMessage>();

  constructor(vtl: number, vp: number, bound: number) {
    this.vtl = vtl;
    this.vp = vp;
    this.sints = Array.from({ length: synicLimits.sints }, () => new SintQueue(bound));
    this.anonymous = this.sints.map(() => ({ waiting: undefined }));
  }
}

/** What tells the queues of one VTL of a VP from others. */
export function keyOf(vtl: number, vp: number): number {
  return vtl * limits.MSHV_MAX_VPS + vp;
}
