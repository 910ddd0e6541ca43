import { vpArgument } from '../abi/arguments.js';
import { writeRegisterCpuidResult, writeRegisterMsrResult } from '../abi/hypercall-inputs.js';
import { interceptAccessMasks, interceptTypes } from '../abi/intercept-types.js';
import { unimplementedMsrActions } from '../abi/properties.js';
import { integerArgument } from '../arguments.js';
import { hypercallOf, hypercallPages, type HypercallTarget } from './hypercall-pages.js';
import {
  boolean,
  choice,
  defaulting,
  optional,
  takeOptions,
  uint32,
  type Option,
  type OptionTable,
} from '../options.js';

/** `HV_ANY_VP`: every VP, those created later included. Source: Linux 7.2 `hyperv/hvgdk_mini.h`. */
const anyVp = 0xffff_ffff;

const vpOrAll = defaulting<number, number>(vpArgument, anyVp);

/** All 32 bits of a register, or those of a mask. */
export type CpuidBits =
  | number
  | {
      /** What they are to be. */ value: number;
      /** 1: the bit is to be as in `value`. */ mask: number;
    };

/** What CPUID shall return to the guest without a message to user space. */
export interface CpuidResultOptions {
  /** 0 to 255. Default: all VPs. */
  vp?: number;
  /** EAX of the guest's CPUID. */
  leaf: number;
  /** ECX of it. Default: any. */
  subleaf?: number;
  /** Also where the hypervisor itself would return 0. Default true. */
  alwaysOverride?: boolean;
  /** Default: as it would be. */
  eax?: CpuidBits;
  /** Likewise. */
  ebx?: CpuidBits;
  /** Likewise. */
  ecx?: CpuidBits;
  /** Likewise. */
  edx?: CpuidBits;
}

function bitsArgument(name: string, bits: CpuidBits | undefined): { value: number; mask: number } {
  return bits === undefined
    ? { value: 0, mask: 0 }
    : typeof bits === 'number'
      ? { value: integerArgument(name, bits, 0, 0xffff_ffff), mask: 0xffff_ffff }
      : takeOptions(name, bits, { value: uint32, mask: uint32 });
}

const cpuidResult = {
  vp: vpOrAll,
  leaf: uint32,
  subleaf: optional(uint32),
  alwaysOverride: boolean(true),
  eax: bitsArgument,
  ebx: bitsArgument,
  ecx: bitsArgument,
  edx: bitsArgument,
} satisfies OptionTable<CpuidResultOptions>;

/** `HVCALL_REGISTER_INTERCEPT_RESULT` of a CPUID leaf. */
export function registerCpuidResult(
  { native, fd }: HypercallTarget,
  result: CpuidResultOptions,
): void {
  const checked = takeOptions('result', result, cpuidResult);
  const { vp, leaf, subleaf, alwaysOverride, eax, ebx, ecx, edx } = checked;
  const borrowed = fd();
  const length = writeRegisterCpuidResult(
    hypercallPages.input,
    vp,
    interceptTypes.X64_CPUID,
    leaf,
    subleaf ?? 0,
    subleaf !== undefined,
    alwaysOverride,
    {
      eax: eax.value,
      eaxMask: eax.mask,
      ebx: ebx.value,
      ebxMask: ebx.mask,
      ecx: ecx.value,
      ecxMask: ecx.mask,
      edx: edx.value,
      edxMask: edx.mask,
    },
  );
  const attempt = `register a result of CPUID 0x${leaf.toString(16)}`;
  hypercallPages.call(
    native,
    borrowed,
    hypercallOf('HVCALL_REGISTER_INTERCEPT_RESULT', attempt),
    length,
  );
}

const msrActions = {
  fault: unimplementedMsrActions.FAULT,
  'ignore-write-read-zero': unimplementedMsrActions.IGNORE_WRITE_READ_ZERO,
} as const;

/** What a guest's access to an MSR does: raises #GP, or nothing, and reads give 0. */
export type MsrAction = keyof typeof msrActions;

export const msrActionArgument: Option<MsrAction, number> = choice<number, MsrAction>(msrActions);

const msrAccesses = {
  read: interceptAccessMasks.READ,
  write: interceptAccessMasks.WRITE,
  'read-write': interceptAccessMasks.READ | interceptAccessMasks.WRITE,
} as const;

/** What an access to an MSR shall do without a message to user space. */
export interface MsrResultOptions {
  /** 0 to 255. Default: all VPs. */
  vp?: number;
  /** ECX of the guest's RDMSR or WRMSR. */
  msr: number;
  /** Default `'read-write'`. */
  access?: 'read' | 'write' | 'read-write';
  /** What is done instead of a message. */
  action: MsrAction;
}

const msrResult = {
  vp: vpOrAll,
  msr: uint32,
  access: defaulting(choice(msrAccesses), msrAccesses['read-write']),
  action: msrActionArgument,
} satisfies OptionTable<MsrResultOptions>;

/** `HVCALL_REGISTER_INTERCEPT_RESULT` of an MSR. */
export function registerMsrResult({ native, fd }: HypercallTarget, result: MsrResultOptions): void {
  const { vp, msr, access, action } = takeOptions('result', result, msrResult);
  const borrowed = fd();
  const { input } = hypercallPages;
  const length = writeRegisterMsrResult(input, vp, interceptTypes.X64_MSR, msr, access, action);
  const attempt = `register a result of MSR 0x${msr.toString(16)}`;
  hypercallPages.call(
    native,
    borrowed,
    hypercallOf('HVCALL_REGISTER_INTERCEPT_RESULT', attempt),
    length,
  );
}
