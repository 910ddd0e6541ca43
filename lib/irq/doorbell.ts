import { constants } from 'node:os';
import { inspect } from 'node:util';

import { ioeventfdFlags, ioeventfdSizes, type IoeventfdSize } from '../abi/ioeventfd.js';
import {
  instanceArgument,
  optionsArgument,
  rangeError,
  stringArgument,
  typeError,
  uint64Argument,
} from '../arguments.js';
import { closeEach } from '../closing.js';
import { MshvError, systemError } from '../errors.js';
import { EventFd, eventFdNative, setEventFdOwner } from '../eventfd.js';
import type { Native } from '../native.js';

export interface DoorbellOptions {
  /** The guest physical address that is written. No memory should be mapped there. */
  gpa: number | bigint;
  /** The size of the write in bytes: 1, 2, 4, 8, or 0 for any. Default 0. */
  size?: IoeventfdSize;
  /** The value that rings, as large as `size` allows. Default: any. */
  match?: number | bigint;
  /**
   * Signal this eventfd. The doorbell takes a descriptor of its own; the caller keeps, and closes, this
   * one. Default: a new eventfd.
   */
  event?: EventFd;
  /** What it is, for error messages. */
  name?: string;
}

/** What doorbells need of their partition. */
export interface DoorbellPartition {
  readonly native: Native;
  /** The partition's descriptor. Throws where the partition is closed. */
  fd(): number;
}

interface Settings {
  readonly gpa: bigint;
  readonly size: IoeventfdSize;
  readonly match: bigint | undefined;
  readonly name: string | undefined;
}

let createDoorbell: (
  settings: Settings,
  event: EventFd,
  close: (doorbell: Doorbell) => void,
) => Doorbell;
let endDoorbell: (doorbell: Doorbell) => void;

/**
 * An eventfd that the guest signals by writing to an address: made by `partition.registerDoorbell()`.
 *
 * The write is completed by the hypervisor and the VP goes on: it does not exit. A write that rings no
 * doorbell exits as usual. Several writes may be one wake-up; the eventfd counts them.
 */
export class Doorbell implements Disposable {
  readonly #close: (doorbell: Doorbell) => void;
  #closed = false;
  readonly gpa: bigint;
  /** 1, 2, 4, 8, or 0 for a write of any size. */
  readonly size: IoeventfdSize;
  /** The value that rings; undefined where any does. */
  readonly match: bigint | undefined;
  readonly name: string | undefined;
  /** Is signalled with 1 for each write. It belongs to the doorbell and is closed with it. */
  readonly event: EventFd;

  private constructor(settings: Settings, event: EventFd, close: (doorbell: Doorbell) => void) {
    this.gpa = settings.gpa;
    this.size = settings.size;
    this.match = settings.match;
    this.name = settings.name;
    this.event = event;
    this.#close = close;
  }

  static {
    createDoorbell = (...args) => new Doorbell(...args);
    endDoorbell = (doorbell) => {
      doorbell.#closed = true;
      setEventFdOwner(doorbell.event, undefined);
      doorbell.event.close();
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Unregisters it and closes its eventfd. Signals that nobody has read are gone, unless `options.event`
   * shares the counter. Harmless where closed already.
   *
   * @throws MshvError where the driver refused: the doorbell is registered still, and `close` can be tried again
   */
  close(): void {
    if (!this.#closed) {
      this.#close(this);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](): string {
    return `Doorbell { ${text(this)}${this.#closed ? ', closed' : ''} }`;
  }
}

/** The doorbells of one partition, as the driver has them (`mshv_assign_ioeventfd`). */
export class Doorbells {
  readonly #partition: DoorbellPartition;
  /** By address. */
  readonly #doorbells = new Map<bigint, Set<Doorbell>>();

  constructor(partition: DoorbellPartition) {
    this.#partition = partition;
  }

  /** In the order of their registration at each address. */
  get all(): Doorbell[] {
    return [...this.#doorbells.values()].flatMap((doorbells) => [...doorbells]);
  }

  register(options: DoorbellOptions): Doorbell {
    const { native } = this.#partition;
    const settings = checkedSettings(options, native);
    const fd = this.#partition.fd();
    const holder = this.#colliding(settings);
    if (holder !== undefined) {
      throw new MshvError(
        `cannot register a doorbell at ${text(settings)}: ${describe(holder)} is there`,
        {
          code: 'ERR_MSHV_DOORBELL_IN_USE',
        },
      );
    }
    const event = options.event?.clone() ?? EventFd.create({ native });
    const result = this.#set(fd, settings, event, 0);
    if (result < 0) {
      event.close();
      throw systemError(
        `register a doorbell at ${text(settings)}`,
        result,
        { ioctl: 'MSHV_IOEVENTFD' },
        registerHints.get(result),
      );
    }
    setEventFdOwner(event, `doorbell at ${text(settings)}`);
    const doorbell = createDoorbell(settings, event, (one) => {
      this.#close(one);
    });
    const present = this.#doorbells.get(settings.gpa);
    if (present === undefined) {
      this.#doorbells.set(settings.gpa, new Set([doorbell]));
    } else {
      present.add(doorbell);
    }
    return doorbell;
  }

  /** Unregisters all of them. Those that the driver kept are closed all the same: the partition is going. */
  close(): void {
    closeEach(
      'Doorbells',
      this.all.reverse().map((doorbell) => () => {
        try {
          this.#close(doorbell);
        } finally {
          this.#forget(doorbell);
        }
      }),
    );
  }

  #close(doorbell: Doorbell): void {
    const result = this.#set(
      this.#partition.fd(),
      doorbell,
      doorbell.event,
      ioeventfdFlags.DEASSIGN,
    );
    if (result < 0) {
      throw systemError(
        `close the doorbell at ${text(doorbell)}`,
        result,
        { ioctl: 'MSHV_IOEVENTFD' },
        'it is registered still',
      );
    }
    this.#forget(doorbell);
  }

  #forget(doorbell: Doorbell): void {
    const present = this.#doorbells.get(doorbell.gpa);
    if (present?.delete(doorbell) === true) {
      if (present.size === 0) {
        this.#doorbells.delete(doorbell.gpa);
      }
      endDoorbell(doorbell);
    }
  }

  #set(fd: number, { gpa, size, match }: Settings, event: EventFd, flags: number): number {
    const matching = match === undefined ? 0 : ioeventfdFlags.DATAMATCH;
    return this.#partition.native.ioeventfd(fd, event.fd, gpa, size, match ?? 0n, flags | matching);
  }

  /** By the driver's rule: equal address and size, and either takes any value or both take the same. */
  #colliding({ gpa, size, match }: Settings): Doorbell | undefined {
    return [...(this.#doorbells.get(gpa) ?? [])].find(
      (other) =>
        other.size === size &&
        (match === undefined || other.match === undefined || other.match === match),
    );
  }
}

function checkedSettings(options: DoorbellOptions, native: Native): Settings {
  optionsArgument('options', options, ['gpa', 'size', 'match', 'event', 'name']);
  const { size = 0, event, name } = options;
  if (typeof size !== 'number') {
    throw typeError('options.size', 'one of 0, 1, 2, 4, 8', size);
  }
  if (!ioeventfdSizes.includes(size)) {
    throw rangeError('options.size', 'one of 0, 1, 2, 4, 8', size);
  }
  const gpa = uint64Argument('options.gpa', options.gpa, 0n, lastGpa - BigInt(size));
  const largest = 2n ** BigInt(8 * (size === 0 ? 8 : size)) - 1n;
  const match =
    options.match === undefined
      ? undefined
      : uint64Argument('options.match', options.match, 0n, largest);
  if (event !== undefined) {
    instanceArgument('options.event', event, EventFd);
    if (eventFdNative(event) !== native) {
      throw typeError('options.event', "an EventFd of the partition's own addon", event);
    }
  }
  if (name !== undefined) {
    stringArgument('options.name', name);
  }
  return { gpa, size, match, name };
}

/** The driver refuses an address whose write would pass the end of 64 bits. */
const lastGpa = 2n ** 64n - 1n;

function text({ gpa, size, match }: Settings): string {
  const width = size === 0 ? 'any size' : `${size} bytes`;
  const value = match === undefined ? '' : `, value 0x${match.toString(16)}`;
  return `GPA 0x${gpa.toString(16)}, ${width}${value}`;
}

function describe(doorbell: Doorbell): string {
  return doorbell.name === undefined
    ? `the doorbell at ${text(doorbell)}`
    : `${doorbell.name}, the doorbell at ${text(doorbell)},`;
}

const registerHints = new Map([
  [-constants.errno.EEXIST, 'somebody else registered one there'],
  [-constants.errno.EIO, 'the hypervisor refused'],
  [-constants.errno.ENOSPC, 'the driver has no port ids left'],
]);
