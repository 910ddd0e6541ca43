import { inspect, type InspectOptions } from 'node:util';

import { bytesArgument, rangeError } from '../arguments.js';
import { inspected } from '../inspection.js';
import { ownArchitecture, type Architecture } from './architecture.js';
import { messageLayout } from './message-types.js';
import { UnknownMessage } from './messages/message.js';
import { allMessages, arm64Messages, commonMessages, x64Messages } from './messages/table.js';

type Messages = typeof allMessages;

/** Any message that this library knows, told apart by `type`, and `'unknown'` for all others. */
export type Intercept =
  | { [Type in keyof Messages]: InstanceType<Messages[Type]['view']> }[keyof Messages]
  | UnknownMessage;

/** What an `Intercept` can have as its `type`. */
export type InterceptType = Intercept['type'];

/** Makes an `Intercept` over 256 bytes. */
export type InterceptView = new (message: Uint8Array) => Intercept;

/** The types of messages that a hypervisor of an architecture sends. */
export function interceptViews(
  architecture: Architecture = ownArchitecture,
): readonly { readonly code: number; readonly view: InterceptView }[] {
  return [
    ...Object.values(commonMessages),
    ...(architecture === 'x64' ? Object.values(x64Messages) : Object.values(arm64Messages)),
  ];
}

/**
 * Decodes the message in 256 bytes that are filled again and again.
 *
 * There is one view for each type, made at construction: `current` hands out the one for the message that the
 * bytes hold now, and allocates nothing.
 */
export class InterceptMessages {
  readonly #view: DataView;
  readonly #views: ReadonlyMap<number, Intercept>;
  readonly #unknown: UnknownMessage;

  /**
   * @param message - 256 bytes, borrowed
   * @param architecture - of the hypervisor
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, RangeError `ERR_OUT_OF_RANGE`
   */
  constructor(message: Uint8Array, architecture: Architecture = ownArchitecture) {
    bytesArgument('message', message);
    if (message.length !== messageLayout.size) {
      throw rangeError('message', `${messageLayout.size} bytes`, `${message.length} bytes`);
    }
    this.#view = new DataView(message.buffer, message.byteOffset, message.length);
    this.#unknown = new UnknownMessage(message);
    // By the code as a signed number: an unsigned one above 2³¹ would be a heap object each time.
    this.#views = new Map(
      interceptViews(architecture).map(({ code, view }) => [code | 0, new view(message)]),
    );
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected('InterceptMessages', { current: this.current }, depth, options);
  }

  /** The message that the bytes hold now, as a view. */
  get current(): Intercept {
    return this.#views.get(this.#view.getInt32(messageLayout.type, true)) ?? this.#unknown;
  }
}
