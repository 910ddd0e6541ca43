import { PartitionSynic, type Intercept, type Vp } from '../../lib/index.js';

/** Where messages come from and go to. */
export interface EchoRoute {
  readonly connection: number;
  readonly sint: number;
}

const bound = 4;

/** Sends each message that the guest posts to a connection back to its VP, in whichever environment that runs. */
export class SynicEcho {
  readonly #vp: Vp;
  readonly #synic: PartitionSynic;

  constructor(vp: Vp, memory: Uint8Array, { connection, sint }: EchoRoute) {
    this.#vp = vp;
    const synic = new PartitionSynic(vp.partition, {
      messageBound: bound,
      memory: {
        read: (gpa, into) => {
          const from = Number(gpa);
          const isThere = from + into.length <= memory.length;
          if (isThere) into.set(memory.subarray(from, from + into.length));
          return isThere;
        },
      },
      onError: (error) => {
        throw error;
      },
    });
    this.#synic = synic;
    synic.installIntercepts();
    synic.attachVp(vp.index);
    const port = synic.newGuestMessagePort(0, vp.index, sint);
    synic.portMap.addMessagePort(connection, 0, {
      handleMessage: (payload, _secure, type) =>
        synic.messages.size < bound && port.post(type, payload),
    });
  }

  handleExit(exit: Intercept): boolean {
    return this.#synic.handleExit(this.#vp, exit);
  }

  close(): void {
    this.#synic[Symbol.dispose]();
  }
}
