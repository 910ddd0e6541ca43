import type { CheckedRoute } from './checked-route.js';
import type { Target } from './targets.js';

/** One thing that was not as it should be. */
export interface Fault {
  readonly kind: 'lost' | 'extra' | 'wrong';
  /** Null for an interrupt that no route can have raised. */
  readonly gsi: number | null;
  readonly vp: number;
  readonly vector: number;
  /** How many signals each route had been sent by then. */
  readonly signals: number;
  readonly detail: string;
}

const kept = 10;

/** Counts faults and keeps the first ten. */
export class Faults {
  readonly first: Fault[] = [];
  /** How many signals each route has been sent. */
  signals = 0;
  lost = 0;
  extra = 0;
  /** Interrupts that no route can have raised. */
  wrong = 0;

  addLost(checked: CheckedRoute, detail: string): void {
    checked.lost++;
    this.lost++;
    this.#keep('lost', checked.gsi, checked, detail);
  }

  addExtra(checked: CheckedRoute, interrupts: number, detail: string): void {
    checked.extra += interrupts;
    this.extra += interrupts;
    this.#keep('extra', checked.gsi, checked, detail);
  }

  addWrong(target: Target, detail: string): void {
    this.wrong++;
    this.#keep('wrong', null, target, detail);
  }

  #keep(kind: Fault['kind'], gsi: number | null, { vp, vector }: Target, detail: string): void {
    if (this.first.length < kept) {
      this.first.push({ kind, gsi, vp, vector, signals: this.signals, detail });
    }
  }
}
