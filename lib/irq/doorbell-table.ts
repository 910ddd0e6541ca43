import { constants } from 'node:os';

import { ioeventfdFlags, ioeventfdSizes, type IoeventfdSize } from '../abi/ioeventfd.js';
import { rangeError, typeError, uint64Argument } from '../arguments.js';
import { MshvError, systemError } from '../errors.js';
import {
  EventFd,
  eventFdBrand,
  eventFdNumber,
  ownEventArgument,
  setEventFdOwner,
} from '../eventfd/eventfd.js';
import type { Native } from '../native.js';
import {
  defaulting,
  instance,
  optional,
  optionalName,
  takeOptions,
  uint64,
  unchecked,
  type OptionTable,
} from '../options.js';
import { createDoorbell, type Doorbell, type DoorbellState } from './doorbell.js';

/** Which writes of the guest ring which event. */
export interface DoorbellOptions {
  /** Guest physical address, any. No guest memory should be mapped there: then nothing rings. */
  gpa: number | bigint;
  /** The size of the writes that ring: 1, 2, 4 or 8 bytes, or 0 for any. Default 0. */
  size?: IoeventfdSize;
  /** The value of the writes that ring, of no more than `size` bytes. Default: any value. */
  match?: number | bigint;
  /**
   * Signal this eventfd's counter. The doorbell takes a descriptor of its own; the caller keeps, and closes, this
   * one. Any number of doorbells may share a counter. Default: a new eventfd.
   */
  event?: EventFd;
  /** What it is, for error messages. */
  name?: string;
}

const doorbellOptions = {
  gpa: uint64,
  size: defaulting<IoeventfdSize, IoeventfdSize>(sizeArgument, 0),
  // What it may be depends on the size.
  match: unchecked<number | bigint | undefined>,
  event: optional(instance(eventFdBrand)),
  name: optionalName,
} satisfies OptionTable<DoorbellOptions>;

function sizeArgument(name: string, size: unknown): IoeventfdSize {
  const accepts = `one of ${ioeventfdSizes.join(', ')}`;
  if (typeof size !== 'number') {
    throw typeError(name, accepts, size);
  }
  const found = ioeventfdSizes.find((accepted) => accepted === size);
  if (found === undefined) {
    throw rangeError(name, accepts, size);
  }
  return found;
}

/** What the doorbell table needs of its partition. */
export interface DoorbellPartition {
  readonly native: Native;
  /** The partition's descriptor. Throws where the partition is closed. */
  fd(): number;
}

interface Entry {
  readonly state: DoorbellState;
  readonly doorbell: Doorbell;
}

/** The doorbells of one partition, as the environment that opened it has registered them. */
export class DoorbellTable {
  readonly #partition: DoorbellPartition;
  /** By address and size: only those of equal ones collide. */
  readonly #places = new Map<string, Set<Entry>>();

  constructor(partition: DoorbellPartition) {
    this.#partition = partition;
  }

  get doorbells(): Doorbell[] {
    return [...this.#places.values()].flatMap((place) =>
      [...place].map(({ doorbell }) => doorbell),
    );
  }

  register(options: DoorbellOptions): Doorbell {
    const checked = takeOptions('options', options, doorbellOptions);
    const { gpa, size, match: value, event: given, name } = checked;
    const { native } = this.#partition;
    // The driver wants the end of the write to be an address too (mshv_assign_ioeventfd).
    if (gpa + BigInt(size) > largestUint64) {
      throw rangeError('options.gpa', `an address from which ${size} bytes end below 2^64`, gpa);
    }
    const match =
      value === undefined
        ? undefined
        : uint64Argument('options.match', value, 0n, largestMatch(size));
    if (given !== undefined) ownEventArgument('options.event', given, native);
    this.#partition.fd();
    const key = `${gpa}/${size}`;
    const place = this.#places.get(key) ?? new Set<Entry>();
    for (const { state } of place) {
      if (match === undefined || state.match === undefined || state.match === match) {
        throw new MshvError(
          `cannot register ${doorbellText(gpa, size, match)}: ${holderText(state)} rings there`,
          { code: 'ERR_MSHV_DOORBELL_IN_USE' },
        );
      }
    }

    const event = given?.clone() ?? EventFd.create({ native });
    const state: DoorbellState = { gpa, size, match, event, name, closed: false };
    const result = this.#ioeventfd(state, 0);
    if (result < 0) {
      event.close();
      throw systemError(
        `register ${doorbellText(gpa, size, match)}`,
        result,
        ioeventfd,
        assignHints.get(result),
      );
    }
    setEventFdOwner(event, `${doorbellText(gpa, size, match)}: close that`);
    const entry: Entry = {
      state,
      doorbell: createDoorbell(state, () => {
        this.#close(entry);
      }),
    };
    this.#places.set(key, place.add(entry));
    return entry.doorbell;
  }

  /** What ends each doorbell, whatever the driver says: the partition's descriptor is closed afterwards. */
  closings(): (() => void)[] {
    return [...this.#places.values()].flatMap((place) =>
      [...place].map((entry) => () => {
        try {
          this.#close(entry);
        } finally {
          // The driver holds the counter itself: it may ring until the partition ends, but nobody sees it.
          this.#discard(entry);
        }
      }),
    );
  }

  #close(entry: Entry): void {
    const { gpa, size, match } = entry.state;
    const result = this.#ioeventfd(entry.state, ioeventfdFlags.DEASSIGN);
    if (result === 0 || result === -constants.errno.ENOENT) {
      this.#discard(entry);
    }
    if (result < 0) {
      throw systemError(
        `take away ${doorbellText(gpa, size, match)}`,
        result,
        ioeventfd,
        result === -constants.errno.ENOENT
          ? 'the driver has none such: somebody else took it away'
          : 'it stays registered',
      );
    }
  }

  #discard(entry: Entry): void {
    const { state } = entry;
    if (state.closed) {
      return;
    }
    state.closed = true;
    const key = `${state.gpa}/${state.size}`;
    const place = this.#places.get(key);
    place?.delete(entry);
    if (place?.size === 0) {
      this.#places.delete(key);
    }
    setEventFdOwner(state.event, undefined);
    state.event.close();
  }

  #ioeventfd({ gpa, size, match, event }: DoorbellState, flags: number): number {
    return this.#partition.native.ioeventfd(
      this.#partition.fd(),
      eventFdNumber(event),
      gpa,
      size,
      match ?? 0n,
      flags | (match === undefined ? 0 : ioeventfdFlags.DATAMATCH),
    );
  }
}

const largestUint64 = 2n ** 64n - 1n;
const ioeventfd = { ioctl: 'MSHV_IOEVENTFD' } as const;

const assignHints = new Map([
  [-constants.errno.EEXIST, 'somebody else has a doorbell there'],
  [-constants.errno.ENOMEM, 'the host has no memory for one more'],
  [-constants.errno.EIO, 'the hypervisor refused; was the partition initialized?'],
]);

function largestMatch(size: IoeventfdSize): bigint {
  return size === 0 ? largestUint64 : 2n ** BigInt(size * 8) - 1n;
}

function doorbellText(gpa: bigint, size: number, match: bigint | undefined): string {
  const width = size === 0 ? 'any size' : `${size} bytes`;
  const value = match === undefined ? 'any value' : `0x${match.toString(16)}`;
  return `the doorbell at 0x${gpa.toString(16)} (${width}, ${value})`;
}

function holderText({ gpa, size, match, name }: DoorbellState): string {
  const text = doorbellText(gpa, size, match);
  return name === undefined ? text : `'${name}', ${text},`;
}
