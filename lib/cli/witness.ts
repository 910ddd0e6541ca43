/** Judges what became of signals, after each step that every route under check went through. */
export interface Witness {
  /** Each route was signalled once while armed: one interrupt each. */
  signalled(): void;
  /** Each route was masked and then signalled: no interrupt, the signals wait. */
  masked(): void;
  /** Each route was unmasked with signals waiting: one interrupt each. */
  unmasked(): void;
}
