import type { Architecture } from '../abi/architecture.js';
import type { GuestInterrupt } from '../sim/index.js';
import type { CheckedRoute } from './checked-route.js';
import type { Faults } from './faults.js';
import type { Latency } from './latency.js';
import type { Witness } from './witness.js';

/** Looks at the interrupts that the guest got, and at how long each took. */
export class GuestWitness implements Witness {
  readonly #routes: readonly CheckedRoute[];
  readonly #faults: Faults;
  readonly #latency: Latency;
  readonly #take: () => readonly GuestInterrupt[];
  readonly #byTarget = new Map<number, CheckedRoute[]>();

  /**
   * @param architecture - of the guest
   * @param take - hands over the interrupts since the last call, every signal sent before included
   */
  constructor(
    routes: readonly CheckedRoute[],
    faults: Faults,
    latency: Latency,
    architecture: Architecture,
    take: () => readonly GuestInterrupt[],
  ) {
    this.#routes = routes;
    this.#faults = faults;
    this.#latency = latency;
    this.#take = take;
    for (const checked of routes) {
      // Off x64 the driver takes no destination from an MSI (mshv_copy_girq_info).
      const destination = architecture === 'x64' ? checked.vp : 0;
      const key = targetKey(checked.vector, destination);
      const others = this.#byTarget.get(key) ?? [];
      this.#byTarget.set(key, [...others, checked]);
    }
  }

  signalled(): void {
    this.#judge(1);
  }

  masked(): void {
    this.#judge(0);
  }

  unmasked(): void {
    this.#judge(1);
  }

  #judge(expected: number): void {
    for (const interrupt of this.#take()) {
      this.#attribute(interrupt, expected);
    }
    for (const checked of this.#routes) {
      const { got } = checked;
      checked.got = 0;
      if (got < expected) {
        this.#faults.addLost(checked, 'no interrupt came');
      } else if (got > expected) {
        const why = expected === 0 ? 'while masked' : `instead of ${expected}`;
        this.#faults.addExtra(checked, got - expected, `interrupts came: ${got} ${why}`);
      }
    }
  }

  #attribute(interrupt: GuestInterrupt, expected: number): void {
    const { vector, destination, type, level, logical, time } = interrupt;
    const asRouted = type === 0 && !level && !logical;
    const routes = asRouted ? (this.#byTarget.get(targetKey(vector, destination)) ?? []) : [];
    const checked = routes.find(({ got }) => got < expected) ?? routes[0];
    if (checked === undefined) {
      const kind = `type ${type}, ${level ? 'level' : 'edge'}, ${logical ? 'logical' : 'physical'}`;
      this.#faults.addWrong({ vp: destination, vector }, `no route raises this (${kind})`);
      return;
    }
    checked.interrupts++;
    checked.got++;
    if (checked.got <= expected) {
      this.#latency.record(time - checked.raisedAt);
    }
  }
}

function targetKey(vector: number, destination: number): number {
  return destination * 256 + vector;
}
