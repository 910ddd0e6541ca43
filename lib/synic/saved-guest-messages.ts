import {
  messageTypeArgument,
  payloadArgument,
  sintArgument,
  vpArgument,
  vtlArgument,
} from '../abi/arguments.js';
import { array, table, type OptionTable } from '../options.js';

/** The messages that were taken and not delivered. `structuredClone` takes it; JSON does not, for its payloads are bytes. */
export interface SavedGuestMessages {
  /** One for each SINT of a VP that has messages waiting. */
  readonly queues: readonly SavedQueue[];
}

/** The messages that wait for one SINT of a VP. */
export interface SavedQueue {
  /** 0 to 15. */
  readonly vtl: number;
  /** The VP's index. */
  readonly vp: number;
  /** 0 to 15. */
  readonly sint: number;
  /** In the order in which they are to be delivered. */
  readonly messages: readonly SavedMessage[];
}

/** A message that waits. */
export interface SavedMessage {
  /** As it was posted. */
  readonly type: number;
  /** Up to 240 bytes. */
  readonly payload: Uint8Array;
}

const savedMessage = {
  type: messageTypeArgument,
  payload: payloadArgument,
} satisfies OptionTable<SavedMessage>;

const savedQueue = {
  vtl: vtlArgument,
  vp: vpArgument,
  sint: sintArgument,
  messages: array(table(savedMessage)),
} satisfies OptionTable<SavedQueue>;

export const savedMessages = {
  queues: array(table(savedQueue)),
} satisfies OptionTable<SavedGuestMessages>;
