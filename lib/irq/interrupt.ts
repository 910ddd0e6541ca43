import { AsyncResource } from 'node:async_hooks';
import { inspect, type InspectOptions } from 'node:util';

import { functionArgument, instanceArgument, ours, ownConstructor } from '../arguments.js';
import { EventFd, eventFdBrand } from '../eventfd/eventfd.js';
import { inspected } from '../inspection.js';
import { type Native, optionalNative } from '../native.js';
import { takeOptions, type OptionTable } from '../options.js';

const functionOptions = { native: optionalNative } satisfies OptionTable<{ native?: Native }>;

/**
 * A way to notify the guest, or whoever is at the other end, of something that a device did: an edge.
 *
 * It is made of a function or of an event, and can be used as either.
 *
 * @example
 * ```ts
 * import { Interrupt } from 'mshv';
 *
 * using interrupt = Interrupt.fromFunction(() => {
 *   console.log('delivered'); // delivered
 * });
 * interrupt.deliver();
 * ```
 */
export class Interrupt implements Disposable {
  /** Does nothing, and has an event that nobody listens to. */
  static readonly null = new Interrupt(ours, undefined, undefined, undefined);

  readonly #function: (() => void) | undefined;
  readonly #given: EventFd | undefined;
  readonly #native: Native | undefined;
  /** In which the function was given. */
  readonly #context: AsyncResource | undefined;
  #own: EventFd | undefined;

  private constructor(
    key: symbol,
    deliver: (() => void) | undefined,
    event: EventFd | undefined,
    native: Native | undefined,
  ) {
    ownConstructor('Interrupt', key);
    this.#function = deliver;
    this.#given = event;
    this.#native = native;
    this.#context = deliver && new AsyncResource('MSHV_INTERRUPT');
  }

  /**
   * An interrupt that calls a function.
   *
   * @param options.native - the addon that makes the event
   *
   * @example
   * ```ts
   * import { Interrupt } from 'mshv';
   *
   * let count = 0;
   * using interrupt = Interrupt.fromFunction(() => void count++);
   * interrupt.deliver();
   * console.log(count); // 1
   * ```
   */
  static fromFunction(deliver: () => void, options: { native?: Native } = {}): Interrupt {
    functionArgument('deliver', deliver);
    const { native } = takeOptions('options', options, functionOptions);
    return new Interrupt(ours, deliver, undefined, native);
  }

  /**
   * An interrupt that signals an event. The event is borrowed.
   *
   * @example
   * ```ts
   * import { Interrupt } from 'mshv';
   *
   * Interrupt.fromEvent(route.event).deliver();
   * console.log(simulator.interrupts(partition).length); // 1
   * ```
   */
  static fromEvent(event: EventFd): Interrupt {
    instanceArgument('event', event, eventFdBrand);
    return new Interrupt(ours, undefined, event, undefined);
  }

  /**
   * Delivers the interrupt. Throws what the function throws.
   *
   * @throws MshvError `ERR_MSHV_CLOSED` where its event has been closed
   *
   * @example
   * ```ts
   * import { Interrupt } from 'mshv';
   *
   * const interrupt = Interrupt.fromEvent(route.event);
   * interrupt.deliver();
   * interrupt.deliver();
   * console.log(simulator.interrupts(partition).length); // 2
   * ```
   */
  deliver(): void {
    if (this.#function !== undefined) {
      this.#function();
    } else {
      this.#given?.signal();
    }
  }

  /**
   * An event whose signal delivers the interrupt. Borrowed.
   *
   * For an interrupt that is a function it is made at the first use, and watched by this environment's event
   * loop without holding it: each time the loop finds it signalled the function is called once, however
   * often it was signalled. What the function throws then is an uncaught exception.
   *
   * @throws MshvError `EMFILE` and the like where it cannot be made
   */
  get event(): EventFd {
    if (this.#given !== undefined) {
      return this.#given;
    }
    // Whoever borrowed the event may have closed it.
    if (this.#own === undefined || this.#own.closed) {
      this.#own = this.#newEvent();
    }
    return this.#own;
  }

  /** Closes the event, where it was made here; the next use makes another. Harmless a second time. */
  close(): void {
    this.#own?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const delivers =
      this.#function !== undefined ? 'function' : this.#given !== undefined ? 'event' : 'nothing';
    return inspected('Interrupt', { delivers }, depth, options);
  }

  #newEvent(): EventFd {
    const event = EventFd.create(this.#native === undefined ? {} : { native: this.#native });
    const deliver = this.#function;
    if (deliver === undefined) {
      return event;
    }
    try {
      event.unref();
      const watch = (): void => {
        event.watch(() => {
          deliver();
        });
      };
      this.#context?.runInAsyncScope(watch);
      return event;
    } catch (error) {
      event.close();
      throw error;
    }
  }
}
