import type { CpuidValues } from '../abi/hypercall-outputs.js';
import { Arm64Intercept } from '../abi/messages/arm64-intercepts.js';
import { Arm64HypercallIntercept } from '../abi/messages/arm64-synic-intercepts.js';
import { CpuidIntercept } from '../abi/messages/cpuid-intercept.js';
import { HypercallIntercept } from '../abi/messages/hypercall-intercept.js';
import { IoPortIntercept } from '../abi/messages/io-port-intercept.js';
import { messageBrand } from '../abi/messages/message.js';
import { MsrIntercept } from '../abi/messages/msr-intercept.js';
import { X64Intercept } from '../abi/messages/x64-intercept.js';
import { registerCode } from '../abi/registers.js';
import {
  type Brand,
  functionArgument,
  instanceArgument,
  integerArgument,
  rangeError,
  uint64Argument,
} from '../arguments.js';
import { MshvError } from '../errors.js';
import { defaulting, integer, takeOptions, uint32, type OptionTable } from '../options.js';
import type { PendingExit } from './pending-exit.js';
import { RegisterSet, type VpRegisters } from './vp-registers.js';

const brands = {
  ioPort: messageBrand(IoPortIntercept),
  msr: messageBrand(MsrIntercept),
  cpuid: messageBrand(CpuidIntercept),
  hypercall: eitherBrand(messageBrand(HypercallIntercept), messageBrand(Arm64HypercallIntercept)),
  instruction: eitherBrand(messageBrand(X64Intercept), messageBrand(Arm64Intercept)),
};

/** An exit that leaves an instruction to the VMM. */
type Instruction = X64Intercept | Arm64Intercept;

const arm64Brand = messageBrand(Arm64Intercept);
const arm64HypercallBrand = messageBrand(Arm64HypercallIntercept);

/** What the hypervisor's answer to a guest's hypercall is. */
export interface HypercallResult {
  /** `HV_STATUS_*`: 0 to 0xffff. */
  status: number;
  /** How many reps are done, of a rep call: 0 to 4095. Default 0. */
  repsCompleted?: number;
}

function eitherBrand<One extends object, Other extends object>(
  one: Brand<One>,
  other: Brand<Other>,
): Brand<One | Other> {
  return {
    name: `${one.name} or ${other.name}`,
    has: (value): value is One | Other => one.has(value) || other.has(value),
  };
}

const cpuidResult = {
  eax: uint32,
  ebx: uint32,
  ecx: uint32,
  edx: uint32,
} satisfies OptionTable<CpuidValues>;

const hypercallResult = {
  status: integer(0, 0xffff),
  repsCompleted: defaulting(integer(0, 0xfff), 0),
} satisfies OptionTable<HypercallResult>;

/** Answers a guest's hypercall. */
export type HypercallAnswer<
  Exit extends HypercallIntercept | Arm64HypercallIntercept = HypercallIntercept,
> = (exit: Exit) => HypercallResult;

/** What a completion changes beside RIP, in the order in which it is written. */
type Written = readonly ('RAX' | 'RBX' | 'RCX' | 'RDX' | 'X0')[];

const nothing = [] as const;
const nothingOfArm64 = [] as const;
const x0 = ['X0'] as const;
const rax = ['RAX'] as const;
const raxRdx = ['RAX', 'RDX'] as const;
const cpuidRegisters = ['RAX', 'RBX', 'RCX', 'RDX'] as const;

/** By the registers written: those, and RIP or PC. */
const sets = new Map<Written, RegisterSet>();

/**
 * Completes exits of a VP: gives the guest the result of the instruction that it stopped at, and moves RIP
 * past it. RIP is written last, so a completion that failed can be tried again.
 */
export class ExitCompletion {
  readonly #exits: PendingExit;
  readonly #registers: VpRegisters;

  constructor(exits: PendingExit, registers: VpRegisters) {
    this.#exits = exits;
    this.#registers = registers;
  }

  ioPort(exit: IoPortIntercept, value: number | undefined): void {
    instanceArgument('exit', exit, brands.ioPort);
    this.#exits.checkLast(exit);
    const { size } = exit;
    if (size !== 1 && size !== 2 && size !== 4) {
      throw cannotComplete(`an access of ${size} bytes`);
    }
    if (exit.isString || exit.isRep) {
      throw cannotComplete(
        'INS and OUTS: their data is in memory, which is for the caller to move',
      );
    }
    if (exit.isWrite) {
      absentArgument('value', value, 'OUT');
      this.#write(exit, nothing);
      return;
    }
    const input = integerArgument('value', value, 0, 2 ** (8 * size) - 1);
    this.#write(exit, rax, mergeRax(exit.rax, size, input));
  }

  msr(exit: MsrIntercept, value: bigint | number | undefined): void {
    instanceArgument('exit', exit, brands.msr);
    this.#exits.checkLast(exit);
    if (exit.isWrite) {
      absentArgument('value', value, 'WRMSR');
      this.#write(exit, nothing);
      return;
    }
    const read = uint64Argument('value', value);
    this.#write(exit, raxRdx, BigInt.asUintN(32, read), read >> 32n);
  }

  cpuid(exit: CpuidIntercept, result: CpuidValues): void {
    instanceArgument('exit', exit, brands.cpuid);
    this.#exits.checkLast(exit);
    const { eax, ebx, ecx, edx } = takeOptions('result', result, cpuidResult);
    this.#write(exit, cpuidRegisters, BigInt(eax), BigInt(ebx), BigInt(ecx), BigInt(edx));
  }

  hypercall<Exit extends HypercallIntercept | Arm64HypercallIntercept>(
    exit: Exit,
    answer: HypercallResult | HypercallAnswer<Exit>,
  ): void {
    instanceArgument('exit', exit, brands.hypercall);
    this.#exits.check(exit);
    let result;
    if (typeof answer === 'function') {
      result = functionArgument('result', answer)(exit);
      if (!this.#exits.is(exit)) {
        return;
      }
    } else {
      result = answer;
    }
    const { status, repsCompleted } = takeOptions('result', result, hypercallResult);
    const low = BigInt(status);
    const high = BigInt(repsCompleted);
    if (arm64HypercallBrand.has(exit)) {
      this.#writeWith(nextPc(exit), x0, (high << 32n) | low);
      return;
    }
    const rip = nextRip(exit, vmcallLength);
    if (exit.is64Bit) {
      this.#writeWith(rip, rax, (high << 32n) | low);
    } else {
      this.#writeWith(rip, raxRdx, low, high);
    }
  }

  skip(exit: Instruction): void {
    instanceArgument('exit', exit, brands.instruction);
    this.#exits.checkLast(exit);
    if (arm64Brand.has(exit)) {
      this.#writeWith(nextPc(exit), nothingOfArm64);
    } else {
      this.#write(exit, nothing);
    }
  }

  #write(exit: X64Intercept, names: Written, ...values: readonly bigint[]): void {
    this.#writeWith(nextRip(exit), names, ...values);
  }

  #writeWith(next: bigint, names: Written, ...values: readonly bigint[]): void {
    let registers = sets.get(names);
    if (registers === undefined) {
      const architecture = names === x0 || names === nothingOfArm64 ? 'arm64' : 'x64';
      const all = [...names, architecture === 'x64' ? 'RIP' : 'PC'];
      registers = new RegisterSet(
        Uint32Array.from(all, (name) => registerCode('name', name, architecture)),
      );
      sets.set(names, registers);
    }
    const { words } = this.#exits;
    for (let i = 0; i < values.length; i++) {
      words[2 * i] = values[i] ?? 0n;
      words[2 * i + 1] = 0n;
    }
    words[2 * names.length] = next;
    words[2 * names.length + 1] = 0n;
    this.#exits.complete(this.#registers, registers);
  }
}

function absentArgument(name: string, value: unknown, instruction: string): void {
  if (value !== undefined) {
    throw rangeError(name, `absent: the guest's ${instruction} takes no result`, value);
  }
}

function cannotComplete(what: string): MshvError {
  return new MshvError(`cannot complete ${what}`, { code: 'ERR_MSHV_NOT_COMPLETABLE' });
}

/** IN leaves the rest of RAX as it is, but for 32 bits, which clear the upper half. */
function mergeRax(before: bigint, size: 1 | 2 | 4, input: number): bigint {
  const bits = 8 * size;
  return size === 4 ? BigInt(input) : ((before >> BigInt(bits)) << BigInt(bits)) | BigInt(input);
}

/** The long bit of a code segment's attributes. */
const longCode = 1 << 13;

/** PC after the instruction: those of AArch64 have 4 bytes. */
function nextPc(exit: Arm64Intercept): bigint {
  return BigInt.asUintN(64, exit.pc + BigInt(exit.instructionLength || arm64InstructionLength));
}

const arm64InstructionLength = 4;

/** How long VMCALL and VMMCALL are. */
const vmcallLength = 3;

/** RIP after the instruction. Outside of 64-bit code it has 32 bits. */
function nextRip(exit: X64Intercept, knownLength = 0): bigint {
  const instructionLength = exit.instructionLength || knownLength;
  if (instructionLength === 0) {
    throw cannotComplete('the exit: the hypervisor did not say how long the instruction is');
  }
  const next = exit.rip + BigInt(instructionLength);
  if (next >> 32n === 0n) {
    return next;
  }
  const is64Bit = exit.is64Bit && (exit.cs.attributes & longCode) !== 0;
  return BigInt.asUintN(is64Bit ? 64 : 32, next);
}
