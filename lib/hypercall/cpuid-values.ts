import { vpArgument } from '../abi/arguments.js';
import { writeGetVpCpuidValues } from '../abi/hypercall-inputs.js';
import { cpuidValuesFlags, readCpuidValues, type CpuidValues } from '../abi/hypercall-outputs.js';
import {
  array,
  boolean,
  defaulting,
  table,
  takeOptions,
  uint32,
  uint64,
  type OptionTable,
} from '../options.js';
import {
  HypercallList,
  hypercallOf,
  hypercallPages,
  type HypercallTarget,
} from './hypercall-pages.js';

/** A CPUID to ask for. */
export interface CpuidLeafInput {
  /** The leaf. */
  eax: number;
  /** Default 0. */
  ecx?: number;
  /** XFEM and XSS where they are not the VP's own. Default 0. */
  xfem?: number | bigint;
  /** IA32_XSS that the answer is for. */
  xss?: number | bigint;
}

/** Which leaves are asked for, and of which VP. */
export interface CpuidValuesOptions {
  /** 0 to 255. */
  vp: number;
  /** 1 or more; the answers have their order. */
  leaves: readonly CpuidLeafInput[];
  /** Take XFEM and XSS of the VP, not of the leaf. Default true. */
  useVpXfemXss?: boolean;
  /** With what `registerCpuidResult` registered. Default true. */
  applyRegisteredValues?: boolean;
}

const cpuidLeaf = {
  eax: uint32,
  ecx: defaulting(uint32, 0),
  xfem: defaulting(uint64, 0n),
  xss: defaulting(uint64, 0n),
} satisfies OptionTable<CpuidLeafInput>;

const cpuidValuesOptions = {
  vp: vpArgument,
  leaves: array(table(cpuidLeaf)),
  useVpXfemXss: boolean(true),
  applyRegisteredValues: boolean(true),
} satisfies OptionTable<CpuidValuesOptions>;

const call = hypercallOf('HVCALL_GET_VP_CPUID_VALUES', 'get CPUID values of VP');

export function cpuidValues(
  { native, fd }: HypercallTarget,
  options: CpuidValuesOptions,
): CpuidValues[] {
  const checked = takeOptions('options', options, cpuidValuesOptions);
  const { vp, leaves } = checked;
  const flags =
    (checked.useVpXfemXss ? cpuidValuesFlags.USE_VP_XFEM_XSS : 0) |
    (checked.applyRegisteredValues ? cpuidValuesFlags.APPLY_REGISTERED_VALUES : 0);
  const borrowed = fd();
  const values: CpuidValues[] = [];
  const list = new HypercallList(call).begin(leaves.length, vp);
  while (!list.isDone) {
    const { input } = hypercallPages;
    const length = writeGetVpCpuidValues(input, vp, flags, leaves, list.done, list.next);
    const done = hypercallPages.repCall(native, borrowed, list, length);
    for (let at = 0; at < done; at++) {
      values.push(readCpuidValues(hypercallPages.output, at));
    }
  }
  return values;
}
