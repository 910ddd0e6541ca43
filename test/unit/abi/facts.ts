import json from '../../abi-facts.json' with { type: 'json' };

export type Arch = 'x64' | 'arm64';

export interface FieldFacts {
  readonly offset: number;
  readonly size: number;
  readonly type: string;
  /** The number of elements of an array; 0 where it is as long as the caller makes it. */
  readonly array?: number;
}

export interface StructFacts {
  readonly size: number;
  readonly align: number;
  readonly fields: Readonly<Record<string, FieldFacts>>;
}

export interface IoctlFacts {
  readonly dir: string;
  readonly nr: number;
  readonly size: number;
  readonly value: number;
  readonly arg: string | null;
}

export interface BitFieldFacts {
  readonly offset: number;
  readonly width: number;
}

type Named<T> = Readonly<Record<string, T>>;

/** A field of the hypervisor's: whole bytes from `offset` on, or bits from `bit` of its struct on. */
export type HypervisorFieldFacts = FieldFacts | { bit: number; width: number; type: string };

export interface HypervisorStructFacts {
  readonly size: number;
  readonly fields: Named<HypervisorFieldFacts>;
}

export interface MessageFacts {
  readonly type: number;
  readonly payload: string;
  readonly size: number;
}

export interface HypercallFacts {
  readonly code: number;
  readonly kind: string;
  readonly device: boolean;
  readonly vp: boolean;
  readonly input: string;
  readonly inputSize: number;
  readonly repInputSize: number;
  readonly output: string | null;
  readonly outputSize: number;
  readonly repOutputSize: number;
}

/** What the hypervisor defines, as Linux, rust-vmm/mshv and hvdef declare it; constants by group. */
export interface HypervisorFacts {
  readonly structs: Named<HypervisorStructFacts>;
  readonly arm64Structs: Named<HypervisorStructFacts>;
  readonly messages: Named<MessageFacts>;
  readonly hypercalls: Named<HypercallFacts>;
  readonly constants: {
    readonly register_name: Named<number>;
    readonly register_name_arm64: Named<number>;
    readonly partition_property: Named<number>;
    readonly intercept: Named<number>;
    readonly interrupt: Named<number>;
    readonly translate_gva: Named<number>;
    readonly cache_type: Named<number>;
    readonly message_type: Named<number>;
    readonly register_page: Named<number>;
    readonly vp_state: Named<number>;
    readonly mshv: Named<number>;
    readonly scheduler: Named<number>;
    readonly hypercall_control: Named<number>;
    readonly misc: Named<number>;
    readonly misc_arm64: Named<number>;
  };
}

/**
 * What the headers and the driver of Linux 7.2 say, measured by compiling those headers. `structs`
 * is x64; `arm64Structs` has those that differ on arm64.
 */
export const facts: {
  readonly ioctlType: number;
  readonly ioctls: Named<IoctlFacts>;
  readonly structs: Named<StructFacts>;
  readonly arm64Structs: Named<StructFacts>;
  readonly constants: { readonly mshv: Named<number>; readonly hv: Named<number> };
  readonly bitFields: Named<Named<BitFieldFacts>>;
  readonly status: Named<number>;
  readonly statusToErrno: Named<string | number>;
  readonly statusToErrnoDefault: string;
  readonly msiDecode: Named<string>;
  readonly hypervisor: HypervisorFacts;
} = json;

export function structsOf(arch: Arch): Named<StructFacts> {
  return arch === 'arm64' ? { ...facts.structs, ...facts.arm64Structs } : facts.structs;
}

/** The constants of a group that begin with `prefix`, without it. */
export function constantsOf(group: Named<number>, prefix: string): [string, number][] {
  return Object.entries(group)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
}
