import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

import { closedError, MshvError, systemError } from '../errors.js';
import type { Native } from '../native.js';
import { makeToken, receiveError, type EventFdToken } from '../share-token.js';
import { stepError } from '../step-error.js';

/** One open file, which several objects of this environment may have. */
interface OpenFile {
  /** Whether anybody else can have a descriptor of it, and thereby its flags. */
  isShared: boolean;
}

// Across addons: each of them knows only its own.
const owners = new Map<number, EventDescriptor>();

/** The descriptor of one EventFd: who owns it, what others were told of it, and what can be done with it at once. */
export class EventDescriptor {
  readonly native: Native;
  /** Whether each read consumes one unit. */
  readonly semaphore: boolean;
  readonly #file: OpenFile;
  #fd: number;
  /** The descriptor that others were told of. */
  #shown: number | undefined;
  /** What the event is a part of, whose close() is then the only way to close it. */
  owner: string | undefined;

  private constructor(native: Native, fd: number, semaphore: boolean, file: OpenFile) {
    this.native = native;
    this.semaphore = semaphore;
    this.#fd = fd;
    this.#file = file;
    owners.set(fd, this);
  }

  static create(native: Native, initial: number, semaphore: boolean): EventDescriptor {
    const fd = native.eventfdCreate(initial, semaphore);
    if (fd < 0) {
      throw stepError(native, 'create an eventfd', fd);
    }
    return new EventDescriptor(native, fd, semaphore, { isShared: false });
  }

  static adopt(native: Native, fd: number): EventDescriptor {
    const attempt = `adopt descriptor ${fd}`;
    if (owners.has(fd)) {
      throw systemError(attempt, -constants.errno.EBUSY, undefined, ownedHint);
    }
    const result = native.eventfdAdopt(fd);
    if (result < 0) {
      throw stepError(native, attempt, result, adoptHints);
    }
    return new EventDescriptor(native, result, isSemaphore(result), { isShared: true });
  }

  static receive(native: Native, offer: Int32Array, semaphore: boolean): EventDescriptor {
    const fd = native.receiveEventfd(offer);
    if (fd < 0) {
      throw receiveError(native, fd, adoptHints);
    }
    return new EventDescriptor(native, fd, semaphore, { isShared: true });
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * The number, which nobody else knows.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  open(): number {
    if (this.#fd < 0) {
      throw closedError('EventFd');
    }
    return this.#fd;
  }

  /** The number that others know it by, where there is one. */
  get name(): number {
    return this.#shown ?? this.#fd;
  }

  /** The number for others. */
  show(): number {
    const shown = this.native.eventfdShow(this.open());
    if (shown < 0) {
      throw stepError(this.native, `give out a descriptor of eventfd ${this.#fd}`, shown);
    }
    if (shown !== this.#shown) {
      this.#disown(this.#shown);
      owners.set(shown, this);
      this.#shown = shown;
    }
    this.#file.isShared = true;
    return shown;
  }

  signal(count?: bigint): void {
    const result = this.#file.isShared
      ? this.native.eventfdSignalBounded(this.#fd, count)
      : this.native.eventfdSignal(this.#fd, count);
    if (result < 0) {
      this.#refuse('signal', result, signalHints);
    }
  }

  /** Consumes the counter; undefined where it is 0. */
  read(): bigint | undefined {
    const result = this.native.eventfdRead(this.#fd);
    if (typeof result === 'bigint') {
      return result;
    }
    return result === -constants.errno.EAGAIN ? undefined : this.#refuse('read', result);
  }

  /** Whether the counter is not 0. */
  get pending(): boolean {
    const result = this.native.eventfdPoll(this.#fd);
    return result < 0 ? this.#refuse('poll', result) : result === 1;
  }

  clone(): EventDescriptor {
    const fd = this.native.dup(this.open());
    if (fd < 0) {
      this.#refuse('clone', fd);
    }
    return new EventDescriptor(this.native, fd, this.semaphore, this.#file);
  }

  share(): EventFdToken {
    const token = makeToken(this.native, 'event', `eventfd ${this.name}`, [this.open()]);
    this.#file.isShared = true;
    return { ...token, semaphore: this.semaphore };
  }

  /** Closes it. `ended` ends what waits for it, when it counts as closed. */
  close(ended: () => void): void {
    this.native.close(this.#end('close', ended));
  }

  /** Gives it up, likewise, and returns it. */
  release(ended: () => void): number {
    const fd = this.#end('release', ended);
    this.#file.isShared = true;
    return this.native.release(fd);
  }

  #end(verb: string, ended: () => void): number {
    const fd = this.open();
    if (this.owner !== undefined) {
      throw new MshvError(`cannot ${verb} this EventFd: it belongs to ${this.owner}`, {
        code: 'ERR_MSHV_OWNED',
      });
    }
    this.#disown(fd);
    this.#disown(this.#shown);
    this.#fd = -1;
    this.#shown = undefined;
    ended();
    return fd;
  }

  #disown(fd: number | undefined): void {
    // A number that others have closed may be another object's by now.
    if (fd !== undefined && owners.get(fd) === this) {
      owners.delete(fd);
    }
  }

  #refuse(verb: string, result: number, hints?: ReadonlyMap<number, string>): never {
    // Of what is closed the addon says EBADF.
    this.open();
    throw stepError(this.native, `${verb} eventfd ${this.name}`, result, hints);
  }
}

function isSemaphore(fd: number): boolean {
  try {
    return /^eventfd-semaphore:\s*1$/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  } catch {
    return false;
  }
}

const ownedHint = 'another object of this environment owns it; clone() that one';

const signalHints = new Map([
  [-constants.errno.EAGAIN, 'the counter would overflow'],
  [-constants.errno.ENOBUFS, 'no timer to bound a write that others may block: raise ulimit -i'],
]);

const adoptHints = new Map([
  [-constants.errno.EBADF, 'it is not open'],
  [-constants.errno.EINVAL, 'it is not an eventfd'],
  [-constants.errno.EBUSY, ownedHint],
]);
