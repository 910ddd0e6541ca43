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
  readonly queues: readonly SavedQueue[];
}

export interface SavedQueue {
  readonly vtl: number;
  readonly vp: number;
  readonly sint: number;
  /** In the order in which they are to be delivered. */
  readonly messages: readonly SavedMessage[];
}

interface SavedMessage {
  readonly type: number;
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
