import { inspect, type InspectOptions } from 'node:util';

import type { Architecture } from '../abi/architecture.js';
import { type Arm64ResetType, arm64ResetTypes } from '../abi/messages/arm64-intercepts.js';
import {
  guestHypercalls,
  hypercallControl,
  postMessageLayout,
  signalEventLayout,
  synicLimits,
} from '../abi/synic.js';
import {
  bytesArgument,
  choiceArgument,
  integerArgument,
  pageMultipleArgument,
  rangeError,
  uint64Argument,
} from '../arguments.js';
import { architectureError } from '../errors.js';
import { inspected } from '../inspection.js';
import {
  ioOperands,
  largestUint16,
  largestUint32,
  memoryOperands,
  packSteps,
  processors,
  steps,
  stepsOf,
  writeMemory,
  writeMsr,
  type AccessSize,
  type GuestProcessor,
  type Step,
} from './guest-steps.js';
import { synicSteps, type SynicSetup } from './synic-setup.js';

/** Queues steps of a guest, all of them or none: of each its kind and four operands. */
export type QueueSteps = (steps: BigUint64Array) => void;

/**
 * The guest of one VP of a simulated partition, told what to do next. Each method queues something; the guest
 * does it when the VP runs, in order, and the VMM sees what a processor in 64-bit mode would show, on arm64 one at EL1 in
 * AArch64: RIP, RFLAGS, segments and general registers in the message, on arm64 PC, PSTATE and X0 to X17, are those the VP
 * has at that time, and on the register page where the simulator fills it.
 *
 * An instruction is over when the VMM has moved RIP or PC on. Until then it is executed again at each run, as a
 * processor does; so a VMM that forgets to complete a port access sees it again and again.
 *
 * What the hypervisor does by itself never comes to the VMM: a write that rings a doorbell, an access to memory
 * that is there, CPUID and MSRs without an intercept installed. The first access to a page is resolved
 * by the driver, inside the run. Page tables there are none: guest-virtual addresses are
 * physical ones.
 *
 * `out`, `in`, `rdmsr`, `wrmsr`, `cpuid`, `halt` and `tripleFault` are for guests of x64, `reset` for those of arm64: on the
 * other one they throw an MshvError `ERR_MSHV_ARCHITECTURE`, with nothing queued.
 *
 * @example
 * ```ts
 * guest.out(0x3f8, 1, 0x41).cpuid(0).halt();
 * console.log(guest.pending, vp.run()?.type); // 3 io-port
 * ```
 */
export class ScriptedGuest {
  readonly #queue: QueueSteps;
  readonly #pending: () => number;
  readonly #architecture: Architecture;
  readonly #processor: GuestProcessor;

  /** Made by `Simulator.guest`. */
  constructor(queue: QueueSteps, pending: () => number, architecture: Architecture) {
    this.#queue = queue;
    this.#pending = pending;
    this.#architecture = architecture;
    this.#processor = processors[architecture];
  }

  /**
   * How many of the queued instructions are not over. The last one that came to the VMM counts until the
   * VP runs again.
   */
  get pending(): number {
    return this.#pending();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { pending } = this;
    return inspected('ScriptedGuest', { pending }, depth, options);
  }

  /**
   * OUT: the VMM gets an I/O port intercept.
   *
   * @param port - 0 to 65535
   * @param value - as many bits as `size` has. Default: those of RAX, where `mmioRead`, `in`, `rdmsr` and `hypercall`
   *   leave what they got
   */
  out(port: number, size: 1 | 2 | 4, value?: number): this {
    const operands = ioOperands(port, size);
    if (value === undefined) {
      return this.#do([steps.ioPort, ...operands, 2n]);
    }
    value = integerArgument('value', value, 0, 2 ** (8 * size) - 1);
    return this.#do([steps.ioPort, ...operands, 1n, BigInt(value)]);
  }

  /**
   * IN: the VMM gets an I/O port intercept and leaves the value in RAX.
   *
   * @param port - 0 to 65535
   */
  in(port: number, size: 1 | 2 | 4): this {
    return this.#do([steps.ioPort, ...ioOperands(port, size), 0n, 0n]);
  }

  /**
   * RDMSR. The VMM gets an MSR intercept where one is installed for this MSR (`X64_MSR_INDEX`), or where the
   * hypervisor does not know it and one is installed for those (`X64_MSR`). Else the hypervisor
   * answers with the register of the VP that it keeps there, and what it does not know is 0, or faults:
   * then the guest goes on behind it.
   */
  rdmsr(msr: number): this {
    return this.#do([steps.msr, BigInt(integerArgument('msr', msr, 0, largestUint32)), 0n, 0n]);
  }

  /** WRMSR, intercepted like RDMSR. */
  wrmsr(msr: number, value: bigint | number): this {
    return this.#do(writeMsr(msr, value));
  }

  /**
   * CPUID. The VMM gets an intercept where one is installed for the leaf (`X64_CPUID`) or for all
   * (`X64_GLOBAL_CPUID`); else the hypervisor answers what this machine's CPUID says with the registered
   * results on top.
   */
  cpuid(leaf: number, subleaf = 0): this {
    leaf = integerArgument('leaf', leaf, 0, largestUint32);
    subleaf = integerArgument('subleaf', subleaf, 0, largestUint32);
    return this.#do([steps.cpuid, BigInt(leaf), BigInt(subleaf)]);
  }

  /**
   * VMCALL, on arm64 HVC #1. The VMM gets an intercept where one is installed (`HYPERCALL`, or `UNKNOWN_SYNIC_CONNECTION` for
   * HvCallPostMessage and HvCallSignalEvent); else the hypervisor refuses the call. The status is in RAX, or X0.
   *
   * A fast call with more than 16 bytes of input has the rest in XMM0 to XMM5, on arm64 in X3 to X16: what
   * `vp.setRegisters()` has put there before.
   *
   * @param control - RCX, or X0: the call's code and flags
   * @param input - RDX, or X1: a guest physical address, or the first 8 bytes of a fast call
   * @param output - R8, or X2, likewise
   */
  hypercall(
    control: bigint | number,
    input: bigint | number = 0,
    output: bigint | number = 0,
  ): this {
    return this.#do(this.#processor.hypercall(control, input, output));
  }

  /**
   * Writes memory. Outside of it the write rings the doorbells that match, else the VMM gets an unmapped-GPA
   * intercept; where the memory may not be written, a GPA intercept.
   *
   * @param value - as many bits as `size` has
   */
  mmioWrite(gpa: bigint | number, size: AccessSize, value: bigint | number): this {
    return this.#do(writeMemory(gpa, size, value));
  }

  /** Reads memory into RAX, or X0. Outside of it the VMM gets an unmapped-GPA intercept, and leaves the value there. */
  mmioRead(gpa: bigint | number, size: AccessSize): this {
    return this.#do([steps.memory, ...memoryOperands(gpa, size), 0n, 0n]);
  }

  /** HLT: the VMM gets a halt message. It is over with that, wherever RIP is then. */
  halt(): this {
    return this.#do([steps.halt]);
  }

  /** A fault while a fault is delivered while a fault is delivered: an unrecoverable-exception message. */
  tripleFault(): this {
    return this.#do([steps.tripleFault]);
  }

  /**
   * The guest calls the firmware to reset itself or to turn itself off, through PSCI: the VMM gets a reset intercept. It is
   * over with that.
   *
   * @param type - as the exit has it
   * @param code - what the guest gives as the reason, 32 bits
   */
  reset(type: Arm64ResetType, code = 0): this {
    type = choiceArgument('type', type, arm64ResetTypes);
    code = integerArgument('code', code, 0, largestUint32);
    return this.#do([steps.reset, BigInt(arm64ResetTypes.indexOf(type)), BigInt(code)]);
  }

  /**
   * Enables the SynIC (SCONTROL), with the pages and SINTs that are given: WRMSRs, intercepted like others, on arm64 calls
   * of HvCallSetVpRegisters, which the hypervisor answers itself. From then on
   * the guest sees its pages at their addresses instead of memory, whether or not memory is mapped there; the
   * VMM's mapping does not show them.
   */
  enableSynic(setup: SynicSetup = {}): this {
    return this.#do(...synicSteps(setup, this.#processor));
  }

  /**
   * HvCallPostMessage: writes its 256 bytes of input as `mmioWrite` does, then makes the call, see `hypercall`.
   *
   * @param connectionId - 32 bits, reserved ones included
   * @param type - 32 bits; those that a guest may send are 1 to 0x7fff_ffff
   * @param payload - up to 240 bytes
   * @param inputGpa - where to write the input; the hypervisor wants a multiple of 8, all of it in one page
   */
  postMessage(
    connectionId: number,
    type: number,
    payload: Uint8Array,
    inputGpa: bigint | number,
  ): this {
    connectionId = integerArgument('connectionId', connectionId, 0, largestUint32);
    type = integerArgument('type', type, 0, largestUint32);
    if (bytesArgument('payload', payload).length > synicLimits.messagePayload) {
      throw rangeError(
        'payload',
        `up to ${synicLimits.messagePayload} bytes`,
        `${payload.length} bytes`,
      );
    }
    const { size } = postMessageLayout;
    const gpa = uint64Argument('inputGpa', inputGpa, 0n, 2n ** 64n - BigInt(size));
    const input = new DataView(new ArrayBuffer(size));
    input.setUint32(postMessageLayout.connectionId, connectionId, true);
    input.setUint32(postMessageLayout.messageType, type, true);
    input.setUint32(postMessageLayout.payloadSize, payload.length, true);
    new Uint8Array(input.buffer).set(payload, postMessageLayout.payload);
    const writes: Step[] = [];
    for (let at = 0; at < size; at += 8) {
      writes.push(writeMemory(gpa + BigInt(at), 8, input.getBigUint64(at, true)));
    }
    return this.#do(
      ...writes,
      this.#processor.hypercall(guestHypercalls.HVCALL_POST_MESSAGE, gpa, 0n),
    );
  }

  /**
   * HvCallSignalEvent as a fast call, see `hypercall`.
   *
   * @param connectionId - 32 bits, reserved ones included
   * @param flag - the number of the event flag, 16 bits
   */
  signalEvent(connectionId: number, flag = 0): this {
    connectionId = integerArgument('connectionId', connectionId, 0, largestUint32);
    flag = integerArgument('flag', flag, 0, largestUint16);
    const input = new DataView(new ArrayBuffer(signalEventLayout.size));
    input.setUint32(signalEventLayout.connectionId, connectionId, true);
    input.setUint16(signalEventLayout.flagNumber, flag, true);
    return this.hypercall(
      guestHypercalls.HVCALL_SIGNAL_EVENT | hypercallControl.fast,
      input.getBigUint64(0, true),
    );
  }

  /**
   * Takes the message of a SINT out of its slot, as far as the hypervisor can tell: writes 0 to its type, then
   * EOM. What it was, `Simulator.readMemory` says before. To free a slot without EOM, write the type alone.
   *
   * @param simp - the GPA of the message page
   * @param sint - 0 to 15
   */
  takeMessage(simp: bigint | number, sint: number): this {
    const page = pageMultipleArgument('simp', simp);
    sint = integerArgument('sint', sint, 0, synicLimits.sints - 1);
    return this.#do(
      writeMemory(page + BigInt(sint * synicLimits.slot), 4, 0),
      this.#processor.writeSynic('EOM', 0, 0n),
    );
  }

  /** All of them, or none. */
  #do(...sequence: Step[]): this {
    const others = stepsOf[this.#architecture === 'x64' ? 'arm64' : 'x64'];
    if (sequence.some(([kind]) => others.has(kind))) {
      throw architectureError(
        'queue steps of the guest',
        `this is none of a guest of ${this.#architecture}`,
      );
    }
    this.#queue(packSteps(sequence));
    return this;
  }
}
