import { writeInstallIntercept } from '../abi/hypercall-inputs.js';
import { interceptAccessMasks, interceptTypes } from '../abi/intercept-types.js';
import { choiceArgument, integerArgument, optionsArgument, rangeError } from '../arguments.js';
import { hypercallOf, hypercallPages, type HypercallTarget } from './hypercall-pages.js';

const accesses = {
  none: interceptAccessMasks.NONE,
  read: interceptAccessMasks.READ,
  write: interceptAccessMasks.WRITE,
  'read-write': interceptAccessMasks.READ | interceptAccessMasks.WRITE,
  execute: interceptAccessMasks.EXECUTE,
} as const;

/** Which accesses to intercept; `'none'` takes an intercept back. */
export type InterceptedAccess = keyof typeof accesses;
const accessNames = Object.keys(accesses) as InterceptedAccess[];

/** What to intercept. */
export type InterceptRequest = {
  /** Default: all that the type can have. */ access?: InterceptedAccess;
} & (
  | {
      type: 'io-port';
      /** 0 to 0xffff. */
      port: number;
    }
  | {
      type: 'io-port-range';
      /** 0 to 0xffff. */
      first: number;
      /** From `first` to 0xffff. */
      last: number;
    }
  | {
      type: 'cpuid';
      /** EAX of the guest's CPUID. */
      leaf: number;
    }
  | {
      type: 'exception';
      /** 0 to 31. */
      vector: number;
    }
  | {
      type: 'msr-index';
      /** ECX of the guest's RDMSR or WRMSR. */
      msr: number;
    }
  | {
      type: 'apic-write';
      /** A mask of APIC registers. */
      registers: number;
    }
  | {
      /** What needs no more. */
      type:
        | 'msr'
        | 'global-cpuid'
        | 'mmio'
        | 'hypercall'
        | 'apic-smi'
        | 'apic-init-sipi'
        | 'apic-eoi'
        | 'microcode-revision'
        | 'unknown-synic-connection'
        | 'unknown-device-retarget';
    }
);

/** What there is to intercept: the types of `InterceptRequest`. */
export type InterceptKind = InterceptRequest['type'];

interface Kind {
  readonly type: number;
  readonly access: InterceptedAccess;
  /** The names and the largest values of the parameter's parts. */
  readonly parts: readonly (readonly [name: string, most: number])[];
}

const kinds: Readonly<Record<InterceptKind, Kind>> = {
  'io-port': {
    type: interceptTypes.X64_IO_PORT,
    access: 'read-write',
    parts: [['port', 0xffff]],
  },
  // Source of the parameter: HvInterceptParameters of hvdef, the first port in bits 0 to 15, the last above.
  'io-port-range': {
    type: interceptTypes.X64_IO_PORT_RANGE,
    access: 'read-write',
    parts: [
      ['first', 0xffff],
      ['last', 0xffff],
    ],
  },
  msr: { type: interceptTypes.X64_MSR, access: 'read-write', parts: [] },
  'msr-index': {
    type: interceptTypes.X64_MSR_INDEX,
    access: 'read-write',
    parts: [['msr', 0xffff_ffff]],
  },
  cpuid: { type: interceptTypes.X64_CPUID, access: 'execute', parts: [['leaf', 0xffff_ffff]] },
  'global-cpuid': { type: interceptTypes.X64_GLOBAL_CPUID, access: 'execute', parts: [] },
  exception: { type: interceptTypes.EXCEPTION, access: 'execute', parts: [['vector', 31]] },
  mmio: { type: interceptTypes.MMIO, access: 'read-write', parts: [] },
  hypercall: { type: interceptTypes.HYPERCALL, access: 'execute', parts: [] },
  'apic-smi': { type: interceptTypes.X64_APIC_SMI, access: 'execute', parts: [] },
  'apic-init-sipi': { type: interceptTypes.X64_APIC_INIT_SIPI, access: 'execute', parts: [] },
  'apic-write': {
    type: interceptTypes.X64_APIC_WRITE,
    access: 'write',
    parts: [['registers', 0xffff_ffff]],
  },
  'apic-eoi': { type: interceptTypes.X64_APIC_EOI, access: 'write', parts: [] },
  'microcode-revision': {
    type: interceptTypes.MC_UPDATE_PATCH_LEVEL_MSR_READ,
    access: 'read',
    parts: [],
  },
  'unknown-synic-connection': {
    type: interceptTypes.UNKNOWN_SYNIC_CONNECTION,
    access: 'execute',
    parts: [],
  },
  'unknown-device-retarget': {
    type: interceptTypes.RETARGET_INTERRUPT_WITH_UNKNOWN_DEVICE_ID,
    access: 'execute',
    parts: [],
  },
};
const kindNames = Object.keys(kinds) as InterceptKind[];
const partNames = Object.values(kinds).flatMap(({ parts }) => parts.map(([name]) => name));

/** What `HVCALL_INSTALL_INTERCEPT` is told. */
interface CheckedIntercept {
  readonly type: number;
  readonly access: number;
  readonly parameter: bigint;
}

function checkedIntercept(request: InterceptRequest): CheckedIntercept {
  const given: Readonly<Record<string, unknown>> = request;
  optionsArgument('intercept', given, ['type', 'access', ...partNames]);
  const kind = kinds[choiceArgument('intercept.type', given['type'], kindNames)];
  const foreign = partNames.find(
    (key) => given[key] !== undefined && !kind.parts.some(([name]) => name === key),
  );
  if (foreign !== undefined) {
    throw rangeError(`intercept.${foreign}`, `absent with type '${request.type}'`, given[foreign]);
  }
  const { access = kind.access } = request;
  choiceArgument('intercept.access', access, accessNames);
  const [low = 0, last = 0] = kind.parts.map(([name, most]) =>
    integerArgument(`intercept.${name}`, given[name], 0, most),
  );
  const isRange = request.type === 'io-port-range';
  const high = isRange ? integerArgument('intercept.last', last, low, 0xffff) : last;
  return {
    type: kind.type,
    access: accesses[access],
    parameter: BigInt(low) | (BigInt(high) << 16n),
  };
}

/** `HVCALL_INSTALL_INTERCEPT`. */
export function installIntercept({ native, fd }: HypercallTarget, request: InterceptRequest): void {
  const { type, access, parameter } = checkedIntercept(request);
  const borrowed = fd();
  const call = hypercallOf(
    'HVCALL_INSTALL_INTERCEPT',
    `install an intercept of type '${request.type}'`,
  );
  const length = writeInstallIntercept(hypercallPages.input, access, type, parameter);
  hypercallPages.call(native, borrowed, call, length);
}
