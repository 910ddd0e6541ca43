import { inspect, type InspectOptions } from 'node:util';

import type { Brand } from '../../arguments.js';
import { hexadecimal, inspected } from '../../inspection.js';
import { messageLayout, messageTypeName, type MessageTypeName } from '../message-types.js';

/** The fields that inspection and JSON show: what each class adds to those of what it extends. */
const addedNames = new WeakMap<object, readonly string[]>();

export function addFieldNames(prototype: Message, names: readonly string[]): void {
  addedNames.set(prototype, names);
}

function fieldNames(message: object): readonly string[] {
  const prototype: unknown = Object.getPrototypeOf(message);
  return typeof prototype === 'object' && prototype !== null
    ? [...fieldNames(prototype), ...(addedNames.get(prototype) ?? [])]
    : [];
}

// Which stop of a VP a message was handed out for.
let markStop: (message: Message, stop: number) => void;
let stopOf: (message: Message) => number;

let isMessage: (value: object) => value is Message;

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
    return hexadecimal(value);
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

/** A value in a message as JSON has it. */
export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What `JSON.stringify` makes of a message. */
export interface MessageJson {
  /** As the message's. */
  readonly type: string;
  readonly [field: string]: JsonValue;
}

function jsonOf(value: unknown): JsonValue {
  switch (typeof value) {
    case 'bigint':
      return `0x${value.toString(16)}`;
    case 'string':
    case 'number':
    case 'boolean':
      return value;
    default:
      break;
  }
  if (value instanceof Uint8Array) {
    return Buffer.from(value).toString('hex');
  }
  if (Array.isArray(value)) {
    return value.map(jsonOf);
  }
  const parts = Object.entries(value ?? {}).map(([key, part]) => [key, jsonOf(part)] as const);
  return Object.fromEntries(parts);
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
  readonly #size: number;
  /** 0 where it was not handed out for one. */
  #stop: number;

  /**
   * @param message - 256 bytes
   * @param size - how many bytes the payload has
   */
  constructor(message: Uint8Array, size: number) {
    this.message = message;
    const views = viewsOver(message);
    this.#header = views.header;
    this.view = views.payload;
    this.#size = size;
    this.#stop = views.stop;
  }

  static {
    markStop = (message, stop) => {
      message.#stop = stop;
    };
    stopOf = (message) => message.#stop;
    isMessage = (value): value is Message => #header in value;
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
   * The instruction, as far as the hypervisor fetched it. A number of bytes that the field has no room for (0xff has been
   * seen) says that it fetched none, and the bytes are those of an earlier message. A copy: who has an array can transfer
   * its buffer, and with it the bytes behind every message.
   */
  protected instruction({
    at,
    most,
    count,
  }: Readonly<Record<'at' | 'most' | 'count', number>>): Uint8Array {
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

  /**
   * The type and the fields, for `JSON.stringify`: 64-bit quantities are strings like `"0xfee00000"`, which `BigInt()`
   * reads, bytes are hexadecimal digits, which `Buffer.from(digits, 'hex')` reads.
   */
  toJSON(): MessageJson {
    return { type: this.type, ...this.#shown(jsonOf) };
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const shown = { type: this.type, ...this.#shown(printed) };
    return inspected(this.constructor.name, shown, depth, options);
  }

  #shown<Shown>(show: (value: unknown) => Shown): Readonly<Record<string, Shown>> {
    return Object.fromEntries(
      fieldNames(this).map((name) => [name, show(Reflect.get(this, name))]),
    );
  }
}

export { markStop, stopOf };

/** What tells the messages of a class. */
export function messageBrand<Class extends Message>(
  type: abstract new (...parameters: never) => Class,
): Brand<Class> {
  return {
    name: type.name,
    has: (value): value is Class => isMessage(value) && value instanceof type,
  };
}

/** A message that this library knows no fields of. Its payload is all there is. */
export class UnknownMessage extends Message {
  static {
    addFieldNames(this.prototype, ['messageType', 'payload']);
  }

  readonly type = 'unknown';

  constructor(message: Uint8Array) {
    super(message, 0);
  }

  snapshot(): UnknownMessage {
    return new UnknownMessage(this.copy());
  }
}
