/**
 * How a hypercall ends. Belongs to the dispatcher, and is valid until its next call. `vp.completeHypercall` gives
 * it to the guest.
 */
export interface HypercallCompletion {
  /** The HV status. */
  readonly status: number;
  /** How many reps of a rep call are done, those of earlier calls included; 0 for a simple call. */
  readonly repsCompleted: number;
}
