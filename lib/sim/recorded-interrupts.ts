import { MshvError } from '../errors.js';
import { EventFd, eventFdNumber } from '../eventfd/eventfd.js';
import type { SimNative } from './sim-native.js';
import { TakingIterator } from '../taking-iterator.js';
import {
  decodeInterrupt,
  decodeLost,
  interruptWords,
  type GuestInterrupt,
} from './guest-interrupt.js';

/** What these need of the simulator and the partition. */
export interface InterruptSource {
  readonly native: SimNative;
  /** The partition's descriptor. Throws where it, or the simulator, is closed. */
  readonly fd: () => number;
  readonly isGone: () => boolean;
  /** Throws for what the addon refused. */
  readonly checked: (attempt: string, result: number) => number;
}

/** The interrupts of one partition's guest that nobody has taken. */
export class RecordedInterrupts {
  readonly #source: InterruptSource;
  /** How many nobody can get any more, where nobody has been told. */
  #lost: number | undefined;

  constructor(source: InterruptSource) {
    this.#source = source;
  }

  takeAll(): GuestInterrupt[] {
    const taken: GuestInterrupt[] = [];
    const words = new BigUint64Array(256 * interruptWords);
    let some;
    do {
      some = this.#take(words);
      taken.push(...some);
    } while (some.length * interruptWords === words.length);
    if (taken.length === 0) {
      this.#refuseLost();
    }
    return taken;
  }

  watch(signal: AbortSignal | undefined): AsyncGenerator<GuestInterrupt, void, undefined> {
    const { isGone } = this.#source;
    const word = new BigUint64Array(interruptWords);
    let recorded: EventFd | undefined;
    return new TakingIterator({
      take: async (left) => {
        try {
          while (!isGone()) {
            // Listened for before it is looked whether there is one.
            recorded ??= this.#listen();
            const [interrupt] = this.#take(word);
            if (interrupt !== undefined) {
              return interrupt;
            }
            this.#refuseLost();
            await recorded.wait({ signal: left });
          }
        } catch (error) {
          if (!isGone() || left.aborted) {
            throw error;
          }
        }
        return undefined;
      },
      end: () => recorded?.close(),
      signal,
    });
  }

  /** Takes as many as `words` has room for, oldest first: none where older ones were dropped, which is told next. */
  #take(words: BigUint64Array): GuestInterrupt[] {
    const { native, fd, checked } = this.#source;
    const partition = fd();
    this.#refuseLost();
    const count = checked('take interrupts', native.simInterrupts(partition, words));
    this.#lost = count === 0 ? undefined : decodeLost(words);
    return this.#lost === undefined
      ? Array.from({ length: count }, (_, i) => decodeInterrupt(words, i * interruptWords))
      : [];
  }

  /** An eventfd that is signalled for each interrupt and for the end. */
  #listen(): EventFd {
    const { native, fd, checked } = this.#source;
    const recorded = EventFd.create({ native });
    try {
      checked('listen for interrupts', native.simListen(fd(), eventFdNumber(recorded)));
    } catch (error) {
      recorded.close();
      throw error;
    }
    return recorded;
  }

  #refuseLost(): void {
    const lost = this.#lost;
    if (lost !== undefined) {
      this.#lost = undefined;
      throw new MshvError(
        `${lost} interrupts were dropped, the oldest: take them more often, or none of them`,
        { code: 'ERR_MSHV_INTERRUPTS_LOST', lost },
      );
    }
  }
}
