import type { CheckedRoute } from './checked-route.js';
import type { Faults } from './faults.js';
import type { Witness } from './witness.js';

/**
 * Looks at the eventfds, where nobody sees the guest: an armed irqfd consumes the counter in the write,
 * a masked one keeps it. What unmasking injects leaves no trace there, and the counter that it leaves
 * goes with the next signal.
 */
export class CounterWitness implements Witness {
  readonly #routes: readonly CheckedRoute[];
  readonly #faults: Faults;

  constructor(routes: readonly CheckedRoute[], faults: Faults) {
    this.#routes = routes;
    this.#faults = faults;
  }

  signalled(): void {
    this.#expect(false, 'the driver left the signal in the eventfd');
  }

  masked(): void {
    this.#expect(true, 'the eventfd did not keep the signals of a masked route');
  }

  unmasked(): void {
    // The next signal shows it.
  }

  #expect(pending: boolean, otherwise: string): void {
    for (const checked of this.#routes) {
      if (checked.route.event.pending !== pending) {
        this.#faults.addLost(checked, otherwise);
      }
    }
  }
}
