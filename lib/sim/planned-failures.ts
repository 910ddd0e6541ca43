import { constants } from 'node:os';

import { hvStatusCodes, type HvStatusName } from '../abi/hv-status.js';
import { hypercalls, type HypercallName } from '../abi/hypercalls.js';
import { ioctls, type IoctlName } from '../abi/ioctls.js';
import { choiceArgument, integerArgument, rangeError } from '../arguments.js';
import { choice, defaulting, integer, uint32, type Option, type OptionTable } from '../options.js';

/** The driver's requests. */
export type SimulatedIoctl = IoctlName;

/** Which call fails, and how far a hypercall's list gets. */
export interface FailNextOptions {
  /** How many calls pass first. Default 0. */
  after?: number;
  /** How many fail then. 0 only takes back an earlier plan. Default 1. */
  count?: number;
}

/** What is refused, and with which status. */
export interface RefuseOptions {
  /** A hypercall that the driver passes through, by its name, or the code of any that it makes. */
  hypercall: HypercallName | number;
  /** What it is refused with: the name, or the code, 1 to 65535. */
  status: HvStatusName | number;
  /** How many calls pass first. Default 0. */
  after?: number;
  /** How many are refused then. 0 only takes back an earlier plan. Default 1. */
  count?: number;
  /** How many reps of a rep call are completed before it is refused. Default 0. */
  reps?: number;
}

const largestUint16 = 0xffff;
/** The driver's `reps` has 16 bits, the hypervisor's 12. */
const largestReps = 4095;
const largestErrno = 4095;

/** The number of a request. */
export const requestArgument: Option<SimulatedIoctl, number> = choice<number, SimulatedIoctl>(
  ioctls,
);

export const failNextOptions = {
  after: defaulting(uint32, 0),
  count: defaulting(uint32, 1),
} satisfies OptionTable<FailNextOptions>;

export const refuseOptions = {
  hypercall: hypercallArgument,
  status: statusArgument,
  ...failNextOptions,
  reps: defaulting(integer(0, largestReps), 0),
} satisfies OptionTable<RefuseOptions>;

function hypercallArgument(name: string, hypercall: HypercallName | number): number {
  if (typeof hypercall === 'number') {
    return integerArgument(name, hypercall, 0, largestUint16);
  }
  const names = Object.keys(hypercalls) as HypercallName[];
  return hypercalls[choiceArgument(name, hypercall, names)].code;
}

function statusArgument(name: string, status: HvStatusName | number): number {
  if (typeof status === 'number') {
    return integerArgument(name, status, 1, largestUint16);
  }
  const names = Object.keys(hvStatusCodes) as HvStatusName[];
  const refusals = names.filter((status) => hvStatusCodes[status] !== 0);
  return hvStatusCodes[choiceArgument(name, status, refusals)];
}

export function errnoArgument(name: string, error: string | number): number {
  if (typeof error !== 'string') {
    return integerArgument(name, error, 1, largestErrno);
  }
  const errno = new Map(Object.entries(constants.errno)).get(error);
  if (errno === undefined) {
    throw rangeError(name, "the name of an errno, such as 'ENOMEM'", `'${error}'`);
  }
  return errno;
}
