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
} = json;

export function structsOf(arch: Arch): Named<StructFacts> {
  return arch === 'arm64' ? { ...facts.structs, ...facts.arm64Structs } : facts.structs;
}
