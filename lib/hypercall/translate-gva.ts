import { vpArgument } from '../abi/arguments.js';
import { writeTranslateVirtualAddress } from '../abi/hypercall-inputs.js';
import {
  readTranslation,
  translateGvaFlags,
  type GvaTranslation,
} from '../abi/hypercall-outputs.js';
import { arrayArgument, choiceArgument } from '../arguments.js';
import { takeOptions, uint64, type OptionTable } from '../options.js';
import { hypercallOf, hypercallPages, type HypercallTarget } from './hypercall-pages.js';

/** What a translation is to check, and do to the guest's page tables. */
export type TranslateGvaFlag = keyof typeof translateGvaFlags;
const translateGvaFlagNames = Object.keys(translateGvaFlags) as TranslateGvaFlag[];

/** What is translated, and for which access. */
export interface TranslateGvaOptions {
  /** 0 to 255. */
  vp: number;
  /** The guest's virtual address. */
  gva: number | bigint;
  /** Default `['VALIDATE_READ']`. */
  flags?: readonly TranslateGvaFlag[];
}

/** Where a guest's virtual address leads. */
export interface TranslatedGva {
  /** Whether there is a translation, or why not. */
  readonly result: GvaTranslation['result'];
  /** The physical address; undefined unless `result` is `'success'`. */
  readonly gpa: bigint | undefined;
  /** How accesses are cached; a number where the hypervisor's code has no name. */
  readonly cacheType: GvaTranslation['cacheType'];
  /** Whether the page is one of the hypervisor's own, laid over the guest's memory. */
  readonly overlay: boolean;
}

const pageSize = 4096n;

const translateGvaOptions = {
  vp: vpArgument,
  gva: uint64,
  flags: (name, flags: readonly TranslateGvaFlag[] = ['VALIDATE_READ']) =>
    arrayArgument(name, flags).reduce(
      (bits, flag, at) =>
        bits | translateGvaFlags[choiceArgument(`${name}[${at}]`, flag, translateGvaFlagNames)],
      0n,
    ),
} satisfies OptionTable<TranslateGvaOptions>;

const call = hypercallOf('HVCALL_TRANSLATE_VIRTUAL_ADDRESS', 'translate an address of VP');

export function translateGva(
  { native, fd }: HypercallTarget,
  options: TranslateGvaOptions,
): TranslatedGva {
  const { vp, gva, flags } = takeOptions('options', options, translateGvaOptions);
  const borrowed = fd();
  const length = writeTranslateVirtualAddress(hypercallPages.input, vp, flags, gva / pageSize);
  hypercallPages.call(native, borrowed, call, length, vp);
  const { result, gpaPage, cacheType, overlay } = readTranslation(hypercallPages.output);
  return {
    result,
    gpa: result === 'success' ? gpaPage * pageSize + (gva % pageSize) : undefined,
    cacheType,
    overlay,
  };
}
