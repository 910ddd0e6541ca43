import { writeGetGpaPagesAccessStates } from '../abi/hypercall-inputs.js';
import { accessStateFlags } from '../abi/hypercall-outputs.js';
import { pageMultipleArgument, rangeError } from '../arguments.js';
import { flag, integer, takeOptions, type OptionTable } from '../options.js';
import {
  HypercallList,
  hypercallOf,
  hypercallPages,
  largestList,
  type HypercallTarget,
} from './hypercall-pages.js';

/** Whose access bits are read, and what is done with them then. */
export interface AccessStatesOptions {
  /** Guest physical address of the first page, a multiple of 4096. */
  gpa: number | bigint;
  /** 1 to 2²⁸. */
  pages: number;
  /** What to do with the bits after they were read. Default false, all of them. */
  clearAccessed?: boolean;
  /** Sets the accessed bits. */
  setAccessed?: boolean;
  /** Clears the dirty bits. */
  clearDirty?: boolean;
  /** Sets the dirty bits. */
  setDirty?: boolean;
}

const pageSize = 4096n;
const pageNumberLimit = 2n ** 52n;

const accessStatesOptions = {
  gpa: (name, gpa: number | bigint) => pageMultipleArgument(name, gpa),
  pages: integer(1, largestList),
  clearAccessed: flag(false, accessStateFlags.CLEAR_ACCESSED),
  setAccessed: flag(false, accessStateFlags.SET_ACCESSED),
  clearDirty: flag(false, accessStateFlags.CLEAR_DIRTY),
  setDirty: flag(false, accessStateFlags.SET_DIRTY),
} satisfies OptionTable<AccessStatesOptions>;

const look = hypercallOf('HVCALL_GET_GPA_PAGES_ACCESS_STATES', 'get access states of pages');
/** What was there is gone after the first time. */
const change = { ...look, repeatable: false };

export function accessStates(
  { native, fd }: HypercallTarget,
  options: AccessStatesOptions,
): Uint8Array {
  const { gpa, pages, ...flags } = takeOptions('options', options, accessStatesOptions);
  if (gpa / pageSize + BigInt(pages) > pageNumberLimit) {
    throw rangeError('options.pages', 'a number of pages that ends below 2^64', pages);
  }
  const mask = flags.clearAccessed | flags.setAccessed | flags.clearDirty | flags.setDirty;
  const borrowed = fd();
  const states = new Uint8Array(pages);
  const list = new HypercallList(mask === 0n ? look : change).begin(pages);
  while (!list.isDone) {
    const first = list.done;
    const page = gpa / pageSize + BigInt(first);
    const length = writeGetGpaPagesAccessStates(hypercallPages.input, mask, page);
    const done = hypercallPages.repCall(native, borrowed, list, length);
    states.set(hypercallPages.outputBytes(done), first);
  }
  return states;
}
