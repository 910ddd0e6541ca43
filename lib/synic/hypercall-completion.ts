import type { GuestHypercall } from './guest-hypercall.js';

/** How long VMCALL and VMMCALL are. */
const vmcallLength = 3;

/**
 * How a hypercall ends: the values that the VP's registers get before it runs on. Belongs to the dispatcher,
 * and is valid until its next call; the registers are made of the intercept's, and valid as long as that is.
 */
export interface HypercallCompletion {
  /** The HV status. */
  readonly status: number;
  /** How many reps of a rep call are done, those of earlier calls included; 0 for a simple call. */
  readonly repsCompleted: number;
  /** The result value: the status in bits 0 to 15, the completed reps in bits 32 to 43. */
  readonly result: bigint;
  /** The new RAX: the result, or its low half for a 32-bit caller. */
  readonly rax: bigint;
  /** The new RDX: the high half of the result for a 32-bit caller; undefined where RDX stays as it is. */
  readonly rdx: bigint | undefined;
  /** The new RIP: behind the instruction. */
  readonly rip: bigint;
}

/** The one that the dispatcher fills in, again and again. */
export class Completion implements HypercallCompletion {
  #hypercall: GuestHypercall | undefined;
  #status = 0;
  #repsCompleted = 0;

  begin(hypercall: GuestHypercall): void {
    this.#hypercall = hypercall;
  }

  end(status: number, repsCompleted: number): this {
    this.#status = status;
    this.#repsCompleted = repsCompleted;
    return this;
  }

  get status(): number {
    return this.#status;
  }

  get repsCompleted(): number {
    return this.#repsCompleted;
  }

  get result(): bigint {
    return (BigInt(this.#repsCompleted) << 32n) | BigInt(this.#status);
  }

  get rax(): bigint {
    return this.#hypercall?.is64Bit === false ? BigInt(this.#status) : this.result;
  }

  get rdx(): bigint | undefined {
    return this.#hypercall?.is64Bit === false ? BigInt(this.#repsCompleted) : undefined;
  }

  get rip(): bigint {
    const { rip = 0n, instructionLength = 0, is64Bit = true } = this.#hypercall ?? {};
    const next = rip + BigInt(instructionLength === 0 ? vmcallLength : instructionLength);
    return BigInt.asUintN(is64Bit ? 64 : 32, next);
  }
}
