import { vpArgument } from '../abi/arguments.js';
import type { CpuidResult } from '../abi/hypercall-inputs.js';
import { interceptAccessMasks } from '../abi/intercept-types.js';
import { unimplementedMsrActions } from '../abi/properties.js';
import { booleanArgument, choiceArgument, integerArgument, optionsArgument } from '../arguments.js';

/** `HV_ANY_VP`: every VP, those created later included. Source: Linux 7.2 `hyperv/hvgdk_mini.h`. */
const anyVp = 0xffff_ffff;

function vpOrAllArgument(vp: number | undefined): number {
  return vp === undefined ? anyVp : vpArgument('result.vp', vp);
}

/** All 32 bits of a register, or those of a mask. */
export type CpuidBits = number | { value: number; mask: number };

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
  ebx?: CpuidBits;
  ecx?: CpuidBits;
  edx?: CpuidBits;
}

/** What `HVCALL_REGISTER_INTERCEPT_RESULT` is told of a CPUID leaf. */
export interface CheckedCpuidResult {
  readonly vp: number;
  readonly leaf: number;
  readonly subleaf: number;
  readonly subleafSpecific: boolean;
  readonly alwaysOverride: boolean;
  readonly result: CpuidResult;
}

function bitsArgument(name: string, bits: CpuidBits | undefined): { value: number; mask: number } {
  if (bits === undefined) {
    return { value: 0, mask: 0 };
  }
  if (typeof bits === 'number') {
    return { value: integerArgument(name, bits, 0, 0xffff_ffff), mask: 0xffff_ffff };
  }
  const { value, mask } = optionsArgument(name, bits, ['value', 'mask']);
  return {
    value: integerArgument(`${name}.value`, value, 0, 0xffff_ffff),
    mask: integerArgument(`${name}.mask`, mask, 0, 0xffff_ffff),
  };
}

export function checkedCpuidResult(result: CpuidResultOptions): CheckedCpuidResult {
  optionsArgument('result', result, [
    'vp',
    'leaf',
    'subleaf',
    'alwaysOverride',
    'eax',
    'ebx',
    'ecx',
    'edx',
  ]);
  const { leaf, subleaf, alwaysOverride = true } = result;
  const vp = vpOrAllArgument(result.vp);
  const eax = bitsArgument('result.eax', result.eax);
  const ebx = bitsArgument('result.ebx', result.ebx);
  const ecx = bitsArgument('result.ecx', result.ecx);
  const edx = bitsArgument('result.edx', result.edx);
  return {
    vp,
    leaf: integerArgument('result.leaf', leaf, 0, 0xffff_ffff),
    subleaf: subleaf === undefined ? 0 : integerArgument('result.subleaf', subleaf, 0, 0xffff_ffff),
    subleafSpecific: subleaf !== undefined,
    alwaysOverride: booleanArgument('result.alwaysOverride', alwaysOverride),
    result: {
      eax: eax.value,
      eaxMask: eax.mask,
      ebx: ebx.value,
      ebxMask: ebx.mask,
      ecx: ecx.value,
      ecxMask: ecx.mask,
      edx: edx.value,
      edxMask: edx.mask,
    },
  };
}

const msrActions = {
  fault: unimplementedMsrActions.FAULT,
  'ignore-write-read-zero': unimplementedMsrActions.IGNORE_WRITE_READ_ZERO,
} as const;

/** What a guest's access to an MSR does: raises #GP, or nothing, and reads give 0. */
export type MsrAction = keyof typeof msrActions;
const msrActionNames = Object.keys(msrActions) as MsrAction[];

export function msrActionArgument(name: string, action: MsrAction): number {
  return msrActions[choiceArgument(name, action, msrActionNames)];
}

const msrAccesses = {
  read: interceptAccessMasks.READ,
  write: interceptAccessMasks.WRITE,
  'read-write': interceptAccessMasks.READ | interceptAccessMasks.WRITE,
} as const;
const msrAccessNames = Object.keys(msrAccesses) as (keyof typeof msrAccesses)[];

/** What an access to an MSR shall do without a message to user space. */
export interface MsrResultOptions {
  /** 0 to 255. Default: all VPs. */
  vp?: number;
  msr: number;
  /** Default `'read-write'`. */
  access?: 'read' | 'write' | 'read-write';
  action: MsrAction;
}

/** What `HVCALL_REGISTER_INTERCEPT_RESULT` is told of an MSR. */
export interface CheckedMsrResult {
  readonly vp: number;
  readonly msr: number;
  readonly access: number;
  readonly action: number;
}

export function checkedMsrResult(result: MsrResultOptions): CheckedMsrResult {
  optionsArgument('result', result, ['vp', 'msr', 'access', 'action']);
  const { msr, access = 'read-write', action } = result;
  return {
    vp: vpOrAllArgument(result.vp),
    msr: integerArgument('result.msr', msr, 0, 0xffff_ffff),
    access: msrAccesses[choiceArgument('result.access', access, msrAccessNames)],
    action: msrActionArgument('result.action', action),
  };
}
