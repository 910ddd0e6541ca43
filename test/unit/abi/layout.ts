import {
  facts,
  type Arch,
  type HypervisorFieldFacts,
  type HypervisorStructFacts,
} from './facts.js';

// Reads and writes fields of the hypervisor's structs by their names in the facts, bit by bit and
// without knowing anything else: what lib/abi does with offsets of its own is compared with this.

export interface BitRange {
  readonly bit: number;
  readonly width: number;
}

export function structFacts(name: string, arch: Arch = 'x64'): HypervisorStructFacts {
  const { structs, arm64Structs } = facts.hypervisor;
  const found = (arch === 'arm64' ? arm64Structs[name] : undefined) ?? structs[name];
  if (found === undefined) throw new Error(`no facts of ${name}`);
  return found;
}

const nested = (type: string) => /^(?:struct|union) (\w+)$/.exec(type)?.[1];

function elementSize(field: { type: string; size: number; array?: number }, arch: Arch): number {
  const struct = nested(field.type);
  if (struct !== undefined) return structFacts(struct, arch).size;
  const bits = /(\d+)$/.exec(field.type)?.[1];
  return bits === undefined ? field.size : Number(bits) / 8;
}

/**
 * Where a field lies: `header.cs_segment.base`, `names[3]`, `elements[1].value.reg64`. Names that have a dot in the
 * facts are found too.
 */
export function locate(struct: string, path: string, arch: Arch = 'x64'): BitRange {
  const { fields } = structFacts(struct, arch);
  const name = Object.keys(fields)
    .filter((field) => new RegExp(`^${field.replaceAll('.', '\\.')}(?![\\w])`).test(path))
    .sort((a, b) => b.length - a.length)[0];
  const field: HypervisorFieldFacts | undefined = name === undefined ? undefined : fields[name];
  if (name === undefined || field === undefined) throw new Error(`no ${path} in ${struct}`);
  if ('bit' in field) return { bit: field.bit, width: field.width };
  let { offset, size } = field;
  let rest = path.slice(name.length);
  const index = /^\[(\d+)\]/.exec(rest);
  if (index !== null) {
    size = elementSize(field, arch);
    offset += Number(index[1]) * size;
    rest = rest.slice(index[0].length);
  }
  if (rest === '') return { bit: offset * 8, width: size * 8 };
  const inner = nested(field.type);
  if (inner === undefined) throw new Error(`${path} of ${struct} goes into ${field.type}`);
  const { bit, width } = locate(inner, rest.slice(1), arch);
  return { bit: offset * 8 + bit, width };
}

export function readBits(bytes: Uint8Array, { bit, width }: BitRange): bigint {
  let value = 0n;
  for (let i = width - 1; i >= 0; i--) {
    const byte = bytes[(bit + i) >> 3];
    if (byte === undefined) throw new Error(`bit ${bit + i} is outside`);
    value = (value << 1n) | BigInt((byte >> ((bit + i) & 7)) & 1);
  }
  return value;
}

export function writeBits(bytes: Uint8Array, { bit, width }: BitRange, value: bigint): void {
  for (let i = 0; i < width; i++) {
    const at = (bit + i) >> 3;
    const byte = bytes[at];
    if (byte === undefined) throw new Error(`bit ${bit + i} is outside`);
    const mask = 1 << ((bit + i) & 7);
    bytes[at] = ((value >> BigInt(i)) & 1n) === 1n ? byte | mask : byte & ~mask;
  }
}

/** `size` bytes with the given fields of a struct, all else 0. */
export function bytesOf(
  struct: string,
  size: number,
  fields: Readonly<Record<string, bigint | number | boolean>>,
  arch: Arch = 'x64',
): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const [path, value] of Object.entries(fields)) {
    writeBits(bytes, locate(struct, path, arch), BigInt(value));
  }
  return bytes;
}

/**
 * The fields of a struct down to numbers, but for reserved bits, for arrays as a whole and for the second
 * names of the same bytes.
 */
export function leaves(struct: string, arch: Arch = 'x64'): (BitRange & { name: string })[] {
  const spare = /^(?:r?s?e?rsvd|reserved|rserved|padding)|^as_?u(?:int)?\d+$/i;
  return Object.entries(structFacts(struct, arch).fields).flatMap(([name, field]) => {
    if (spare.test(name)) return [];
    if ('bit' in field) return [{ name, bit: field.bit, width: field.width }];
    const { offset, size, type, array } = field;
    const inner = nested(type);
    if (inner !== undefined && array === undefined) {
      return leaves(inner, arch).map((leaf) => ({
        name: `${name}.${leaf.name}`,
        bit: offset * 8 + leaf.bit,
        width: leaf.width,
      }));
    }
    return [{ name, bit: offset * 8, width: size * 8 }];
  });
}
