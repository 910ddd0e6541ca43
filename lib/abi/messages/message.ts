import { inspect, type InspectOptionsStylized } from 'node:util';

import { messageLayout, messageTypeName, type MessageTypeName } from '../message-types.js';

/** A quantity that is printed in hexadecimal. */
class Hexadecimal {
  readonly #digits: string;

  constructor(value: bigint | number) {
    this.#digits = `0x${value.toString(16)}`;
  }

  [inspect.custom](_depth: number, options: InspectOptionsStylized): string {
    return options.stylize(this.#digits, 'number');
  }
}

// Which stop of a VP a message was handed out for.
let markStop: (message: Message, stop: number) => void;
let stopOf: (message: Message) => number;

/** What all messages over the same bytes share. */
interface Views {
  readonly header: DataView;
  readonly payload: DataView;
  /** Of a snapshot: the stop that it is of. */
  stop: number;
}

const viewsOf = new WeakMap<Uint8Array, Views>();

function viewsOver(message: Uint8Array): Views {
  let views = viewsOf.get(message);
  if (views === undefined) {
    const { buffer, byteOffset } = message;
    const { payload, payloadCapacity } = messageLayout;
    views = {
      header: new DataView(buffer, byteOffset, payload),
      payload: new DataView(buffer, byteOffset + payload, payloadCapacity),
      stop: 0,
    };
    viewsOf.set(message, views);
  }
  return views;
}

function printed(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint') {
    return new Hexadecimal(value);
  }
  if (value instanceof Uint8Array) {
    return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  }
  if (Array.isArray(value)) {
    return value.map(printed);
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, printed(part)]));
  }
  return value;
}

/**
 * What a VP stopped with: a view of a message of the hypervisor.
 *
 * The view belongs to whoever reads messages into the bytes behind it: it is valid until the next message,
 * and `snapshot()` keeps it for longer. Looking at `type` and at fields that are numbers or booleans allocates
 * nothing. A field that the message is too short for (`truncated`) is whatever the bytes held before.
 */
export abstract class Message {
  /** Tells the kinds of messages apart: `switch (message.type)`. */
  abstract readonly type: string;
  protected readonly message: Uint8Array;
  /** The payload: offsets are those of its layout. */
  protected readonly view: DataView;
  readonly #header: DataView;
  readonly #names: readonly string[];
  readonly #size: number;
  /** 0 where it was not handed out for one. */
  #stop: number;

  /**
   * @param message - 256 bytes
   * @param names - the fields that inspection shows
   * @param size - how many bytes the payload has
   */
  protected constructor(message: Uint8Array, names: readonly string[], size: number) {
    this.message = message;
    const views = viewsOver(message);
    this.#header = views.header;
    this.view = views.payload;
    this.#names = names;
    this.#size = size;
    this.#stop = views.stop;
  }

  static {
    markStop = (message, stop) => {
      message.#stop = stop;
    };
    stopOf = (message) => message.#stop;
  }

  /** The hypervisor's code for the type. */
  get messageType(): number {
    return this.#header.getUint32(messageLayout.type, true);
  }

  /** The name of `messageType`, undefined where it has none. */
  get messageTypeName(): MessageTypeName | undefined {
    return messageTypeName(this.messageType);
  }

  /** How many bytes the hypervisor sent: at most 240, whatever the message says. */
  get payloadSize(): number {
    const size = this.#header.getUint8(messageLayout.payloadSize);
    return size < messageLayout.payloadCapacity ? size : messageLayout.payloadCapacity;
  }

  /** Whether the hypervisor sent fewer bytes than the fields of this class take. */
  get truncated(): boolean {
    return this.payloadSize < this.#size;
  }

  /** The bytes that the hypervisor sent: a copy. */
  get payload(): Uint8Array {
    const { payload } = messageLayout;
    return new Uint8Array(this.message.subarray(payload, payload + this.payloadSize));
  }

  /**
   * The instruction, as far as the hypervisor fetched it: up to `most` bytes from `at` on, their number at `count`. A larger
   * number (0xff has been seen) says that it fetched none, and the bytes are those of an earlier message. A copy: who has
   * an array can transfer its buffer, and with it the bytes behind every message.
   */
  protected instruction(at: number, most: number, count: number): Uint8Array {
    const length = this.view.getUint8(count);
    const start = messageLayout.payload + at;
    return new Uint8Array(this.message.subarray(start, start + (length > most ? 0 : length)));
  }

  /** A copy of its own of the bytes behind this view. */
  protected copy(): Uint8Array {
    const bytes = new Uint8Array(this.message);
    viewsOver(bytes).stop = this.#stop;
    return bytes;
  }

  /** The same message over a copy of the bytes: stays what it is. */
  abstract snapshot(): Message;

  [inspect.custom](depth: number | null, options: InspectOptionsStylized): string {
    const { name } = this.constructor;
    if (depth !== null && depth < 0) {
      return options.stylize(`[${name}]`, 'special');
    }
    const fields = this.#names.map((field) => [field, printed(Reflect.get(this, field))]);
    const shown = { type: this.type, ...(Object.fromEntries(fields) as object) };
    return `${options.stylize(name, 'special')} ${inspect(shown, { ...options, depth })}`;
  }
}

export { markStop, stopOf };

/** A message that this library knows no fields of. Its payload is all there is. */
export class UnknownMessage extends Message {
  readonly type = 'unknown';

  constructor(message: Uint8Array) {
    super(message, ['messageType', 'payload'], 0);
  }

  snapshot(): UnknownMessage {
    return new UnknownMessage(this.copy());
  }
}
