import type { SegmentRegister } from '../segment-register.js';

// A layout names the fields of a payload and says where they are: what encodeMessage writes by, the classes of the
// messages read by and inspection walks by. All offsets are in bytes from the start of the payload.

/** An unsigned number of 8, 16 or 32 bits. */
interface NumberField {
  readonly kind: 'u8' | 'u16' | 'u32';
  readonly at: number;
}
/** A number in `width` bits from bit `shift` of byte `at` on. */
interface BitsField {
  readonly kind: 'bits';
  readonly at: number;
  readonly shift: number;
  readonly width: number;
}
interface FlagField {
  readonly kind: 'flag';
  readonly at: number;
  readonly shift: number;
}
interface WordField {
  readonly kind: 'u64';
  readonly at: number;
}
/**
 * A guest physical address whose offset in its page the hypervisor may leave out. Where bits 0 and 1 of the byte at
 * `valid` are set it is the translation of the guest virtual address at `gva`.
 */
export interface GpaField {
  readonly kind: 'gpa';
  readonly at: number;
  readonly gva: number;
  readonly valid: number;
}
/** A number of which some values have names. */
interface ChoiceField {
  readonly kind: 'choice';
  readonly at: number;
  readonly width: 8 | 32;
  readonly names: readonly (string | undefined)[];
}
interface SegmentField {
  readonly kind: 'segment';
  readonly at: number;
}
/** Up to `most` bytes from `at` on; how many is in the byte at `count`. None where that says more than `most`. */
interface BytesField {
  readonly kind: 'bytes';
  readonly at: number;
  readonly count: number;
  readonly most: number;
}
/** `length` words of 64 or 128 bits. */
interface WordsField {
  readonly kind: 'u64s' | 'u128s';
  readonly at: number;
  readonly length: number;
}
/** Up to `most` partition ids and VP indices from their offsets on; how many is in the byte at `count`. */
interface SignalsField {
  readonly kind: 'signals';
  readonly count: number;
  readonly partitions: number;
  readonly vps: number;
  readonly most: number;
}
/** Up to `most` ranges from `at` on; how many is in the first `countWidth` bits at `count`. */
interface RangesField {
  readonly kind: 'ranges';
  readonly at: number;
  readonly count: number;
  readonly countWidth: number;
  readonly most: number;
}

/** A field that is read by its kind and place alone. */
export type PlainField =
  NumberField | BitsField | FlagField | WordField | ChoiceField | SegmentField;

export type Field = PlainField | GpaField | BytesField | WordsField | SignalsField | RangesField;

export type Layout = Readonly<Record<string, Field>>;

/** A VP that the hypervisor's scheduler signals. */
export interface VpSignal {
  /** Whose VP it is. */
  readonly partitionId: bigint;
  /** The VP's index. */
  readonly vpIndex: number;
}

/** Consecutive guest pages. */
export interface GpaPageRange {
  /** Guest page number. */
  readonly page: bigint;
  /** How many pages follow the first one: 0 to 2047. */
  readonly additionalPages: number;
  /** Whether the pages are of 2 MiB. */
  readonly large: boolean;
}

type Value<F> = F extends WordField | GpaField
  ? bigint
  : F extends FlagField
    ? boolean
    : F extends { kind: 'choice'; names: readonly (infer Name)[] }
      ? Exclude<Name, undefined> | number
      : F extends SegmentField
        ? SegmentRegister
        : F extends BytesField
          ? Uint8Array
          : F extends WordsField
            ? readonly bigint[]
            : F extends SignalsField
              ? readonly VpSignal[]
              : F extends RangesField
                ? readonly GpaPageRange[]
                : number;

/** The fields of a message as its class has them. */
export type Fields<L extends Layout> = { readonly [Name in keyof L]: Value<L[Name]> };

type PlainNames<L extends Layout> = {
  [Name in keyof L]: L[Name] extends PlainField ? Name : never;
}[keyof L];

/** Those of them that are read by their kind and place alone. */
export type PlainFields<L extends Layout> = Pick<Fields<L>, PlainNames<L>>;

/** The fields of a message as `encodeMessage` takes them: any of them, words as safe integers too. */
export type FieldInputs<L extends Layout> = {
  readonly [Name in keyof L]?: Value<L[Name]> extends bigint ? bigint | number : Value<L[Name]>;
};

export const u8 = (at: number) => ({ kind: 'u8', at }) as const;
export const u16 = (at: number) => ({ kind: 'u16', at }) as const;
export const u32 = (at: number) => ({ kind: 'u32', at }) as const;
export const u64 = (at: number) => ({ kind: 'u64', at }) as const;
export const gpa = (at: number, gva: number, valid: number) =>
  ({ kind: 'gpa', at, gva, valid }) as const;
export const bits = (at: number, shift: number, width: number) =>
  ({ kind: 'bits', at, shift, width }) as const;
export const flag = (at: number, shift: number) => ({ kind: 'flag', at, shift }) as const;
export const segment = (at: number) => ({ kind: 'segment', at }) as const;
export const bytes = (at: number, most: number, count: number) =>
  ({ kind: 'bytes', at, most, count }) as const;
export const choice = <const Names extends readonly (string | undefined)[]>(
  at: number,
  width: 8 | 32,
  names: Names,
) => ({ kind: 'choice', at, width, names }) as const;
