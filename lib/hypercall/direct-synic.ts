import {
  flagArgument,
  messageTypeArgument,
  payloadArgument,
  sintArgument,
  vpArgument,
  vtlArgument,
} from '../abi/arguments.js';
import { writePostMessageDirect, writeSignalEventDirect } from '../abi/hypercall-inputs.js';
import { readNewlySignaled } from '../abi/hypercall-outputs.js';
import { defaulting, takeOptions, type OptionTable } from '../options.js';
import { hypercallOf, hypercallPages, type HypercallTarget } from './hypercall-pages.js';

/** An event flag to set. */
export interface EventSignal {
  /** 0 to 255. */
  vp: number;
  /** 0 to 15. Default 0. */
  vtl?: number;
  /** 0 to 15. */
  sint: number;
  /** 0 to 2047: the flag to set in the VP's event flags of the SINT. */
  flag: number;
}

/** A message to post. */
export interface SintMessage {
  /** 0 to 255. */
  vp: number;
  /** 0 to 15. Default 0. */
  vtl?: number;
  /** 0 to 15. */
  sint: number;
  /** 1 to 0xffffffff: 0 would be an empty slot. */
  type: number;
  /** Up to 240 bytes. Default none. */
  payload?: Uint8Array;
}

const target = { vp: vpArgument, vtl: defaulting(vtlArgument, 0), sint: sintArgument };
const eventSignal = { ...target, flag: flagArgument } satisfies OptionTable<EventSignal>;
const sintMessage = {
  ...target,
  type: messageTypeArgument,
  payload: defaulting(payloadArgument, new Uint8Array(0)),
} satisfies OptionTable<SintMessage>;

const signal = hypercallOf('HVCALL_SIGNAL_EVENT_DIRECT', 'signal an event to VP');
const post = hypercallOf('HVCALL_POST_MESSAGE_DIRECT', 'post a message to VP');

export function signalEventDirect({ native, fd }: HypercallTarget, event: EventSignal): boolean {
  const { vp, vtl, sint, flag } = takeOptions('event', event, eventSignal);
  const borrowed = fd();
  const length = writeSignalEventDirect(hypercallPages.input, vp, vtl, sint, flag);
  hypercallPages.call(native, borrowed, signal, length, vp);
  return readNewlySignaled(hypercallPages.output);
}

export function postMessageDirect({ native, fd }: HypercallTarget, message: SintMessage): void {
  const { vp, vtl, sint, type, payload } = takeOptions('message', message, sintMessage);
  const borrowed = fd();
  const length = writePostMessageDirect(hypercallPages.input, vp, vtl, sint, type, payload);
  hypercallPages.call(native, borrowed, post, length, vp);
}
