import { inspect, type InspectOptions } from 'node:util';

import { vtlArgument } from '../abi/arguments.js';
import { hvStatusCodes } from '../abi/hv-status.js';
import { synicLimits } from '../abi/synic.js';
import {
  booleanArgument,
  type Brand,
  bytesArgument,
  instanceArgument,
  integerArgument,
  typeError,
} from '../arguments.js';
import { MshvError } from '../errors.js';
import { eventFdBrand } from '../eventfd/eventfd.js';
import { createHandle, type Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import { takeOptions, type OptionTable } from '../options.js';
import { connectionIdArgument, implementationArgument } from './arguments.js';
import {
  failuresOption,
  type FailureListener,
  type FailureReports,
  type Failures,
} from '../failures.js';
import type { HostEventPort, HostMessagePort } from './host-ports.js';
import { RegisteredEventPort } from './registered-event-port.js';
import { RegisteredMessagePort } from './registered-message-port.js';

/** How a map asks for deliveries, and what is told of failures. */
export interface SynicPortMapOptions {
  /**
   * Is told of what handlers throw or reject with: `ERR_MSHV_PORT_HANDLER`, with that as its `cause`. A
   * guest can make a faulty handler fail as often as it likes. Default: the first failure of each port is
   * a process warning.
   */
  onError?: FailureListener | FailureReports;
}

const portMapOptions = { onError: failuresOption } satisfies OptionTable<SynicPortMapOptions>;

/** VMBus's, and the only one that guests have been seen to post. */
const vmbusMessageType = 1;

type RegisteredPort = RegisteredMessagePort | RegisteredEventPort;

let brand: Brand<SynicPortMap>;

/**
 * The host's message and event ports of one partition, by connection id: where the guest's `HvPostMessage`
 * and `HvSignalEvent` go.
 *
 * It knows no partition and no VP, and never waits. Handlers run after the look-up is over, so they may
 * add and remove ports, their own included, and post and signal themselves. Every operation takes constant
 * time; a signal allocates nothing, and a message leaves nothing behind but an answer that the guest has
 * not come back for.
 *
 * @example
 * ```ts
 * import { SynicPortMap } from 'mshv';
 *
 * const map = new SynicPortMap();
 * using port = map.addEventPort(0x2001, 0, { handleEvent: (flag) => console.log(flag) }); // 7
 * console.log(map.handleSignalEvent(0, 0x2001, 7), map.kind(0x2001)); // 0 event
 * ```
 */
export class SynicPortMap {
  readonly #ports = new Map<number, RegisteredPort>();
  readonly #failures: Failures;

  static {
    brand = { name: 'SynicPortMap', has: (value): value is SynicPortMap => #ports in value };
  }

  constructor(options: SynicPortMapOptions = {}) {
    this.#failures = takeOptions('options', options, portMapOptions).onError;
  }

  /** How many ports there are. */
  get size(): number {
    return this.#ports.size;
  }

  /**
   * What a connection leads to, or undefined where it leads nowhere.
   *
   * @example
   * ```ts
   * import { SynicPortMap } from 'mshv';
   *
   * const map = new SynicPortMap();
   * using port = map.addMessagePort(4, 0, { handleMessage: () => undefined });
   * console.log(map.kind(4), map.kind(5)); // message undefined
   * ```
   */
  kind(connectionId: number): 'message' | 'event' | undefined {
    return this.#ports.get(connectionIdArgument(connectionId))?.kind;
  }

  /**
   * Registers a port for messages.
   *
   * @param connectionId - 0 to 0xffffff
   * @param minimumVtl - the lowest virtual trust level that may post: 0 to 15
   * @returns removes the port; harmless a second time
   * @throws MshvError `ERR_MSHV_CONNECTION_ID_IN_USE`
   *
   * @example
   * ```ts
   * import { SynicPortMap } from 'mshv';
   *
   * const map = new SynicPortMap();
   * using port = map.addMessagePort(4, 0, {
   *   handleMessage: (message) => console.log(message[0]), // 15
   * });
   * map.handlePostMessage(0, 4, false, Uint8Array.of(15));
   * ```
   */
  addMessagePort(connectionId: number, minimumVtl: number, port: HostMessagePort): Handle {
    connectionId = connectionIdArgument(connectionId);
    minimumVtl = vtlArgument('minimumVtl', minimumVtl);
    implementationArgument('port', port, ['handleMessage']);
    return this.#add(
      new RegisteredMessagePort({ connectionId, minimumVtl, failures: this.#failures }, port),
    );
  }

  /**
   * Registers a port for events.
   *
   * @param connectionId - 0 to 0xffffff
   * @param minimumVtl - the lowest virtual trust level that may signal: 0 to 15
   * @returns removes the port; harmless a second time
   * @throws MshvError `ERR_MSHV_CONNECTION_ID_IN_USE`
   *
   * @example
   * ```ts
   * import { SynicPortMap } from 'mshv';
   *
   * const map = new SynicPortMap();
   * using port = map.addEventPort(0x2001, 0, { handleEvent: (flag) => console.log(flag) }); // 7
   * map.handleSignalEvent(0, 0x2001, 7);
   * ```
   */
  addEventPort(connectionId: number, minimumVtl: number, port: HostEventPort): Handle {
    connectionId = connectionIdArgument(connectionId);
    minimumVtl = vtlArgument('minimumVtl', minimumVtl);
    implementationArgument('port', port, [], ['handleEvent']);
    const { osEvent, flagCount: flags = synicLimits.eventFlags } = port;
    if (osEvent !== undefined) {
      instanceArgument('port.osEvent', osEvent, eventFdBrand);
    } else if (port.handleEvent === undefined) {
      throw typeError('port', 'an object with a handleEvent function, an osEvent, or both', port);
    }
    const flagCount = integerArgument('port.flagCount', flags, 1, synicLimits.eventFlags);
    return this.#add(
      new RegisteredEventPort(
        { connectionId, minimumVtl, failures: this.#failures },
        port,
        flagCount,
      ),
    );
  }

  /**
   * Dispatches a message that the guest posted.
   *
   * | status | where |
   * |---|---|
   * | `HV_STATUS_SUCCESS` | it was handled |
   * | `HV_STATUS_INVALID_CONNECTION_ID` | the connection has no message port |
   * | `HV_STATUS_OPERATION_DENIED` | `vtl` is below the port's minimum |
   * | `HV_STATUS_INVALID_PARAMETER` | it is longer than 240 bytes, or `type` is 0 or has bit 31 set |
   * | `HV_STATUS_INSUFFICIENT_BUFFERS` | the handler is not ready, or has not answered: the guest is to retry |
   * | `HV_STATUS_OPERATION_FAILED` | the handler threw or rejected |
   *
   * @param vtl - of the caller: 0 to 15
   * @param secure - see `HostMessagePort.handleMessage`
   * @param message - the payload; borrowed for the call
   * @param type - the message type; default 1, VMBus's
   */
  handlePostMessage(
    vtl: number,
    connectionId: number,
    secure: boolean,
    message: Uint8Array,
    type: number = vmbusMessageType,
  ): number {
    vtl = vtlArgument('vtl', vtl);
    connectionId = integerArgument('connectionId', connectionId, 0, 0xffff_ffff);
    booleanArgument('secure', secure);
    bytesArgument('message', message);
    type = integerArgument('type', type, 0, 0xffff_ffff);
    const port = this.#ports.get(connectionId);
    if (port?.kind !== 'message') {
      return hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID;
    }
    if (vtl < port.minimumVtl) {
      return hvStatusCodes.HV_STATUS_OPERATION_DENIED;
    }
    if (message.length > synicLimits.messagePayload || type === 0 || type > 0x7fff_ffff) {
      return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
    }
    return port.handle(vtl, secure, message, type);
  }

  /**
   * Dispatches an event that the guest signalled. Allocates nothing.
   *
   * | status | where |
   * |---|---|
   * | `HV_STATUS_SUCCESS` | it was handled |
   * | `HV_STATUS_INVALID_CONNECTION_ID` | the connection has no event port |
   * | `HV_STATUS_OPERATION_DENIED` | `vtl` is below the port's minimum |
   * | `HV_STATUS_INVALID_PARAMETER` | the port has no such flag |
   * | `HV_STATUS_OPERATION_FAILED` | the handler threw |
   *
   * @param vtl - of the caller: 0 to 15
   * @param flag - 0 to 65535
   *
   * @example
   * ```ts
   * import { hvStatusCodes, SynicPortMap } from 'mshv';
   *
   * const status = new SynicPortMap().handleSignalEvent(0, 0x2001, 7);
   * console.log(status === hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID); // true
   * ```
   */
  handleSignalEvent(vtl: number, connectionId: number, flag: number): number {
    vtl = vtlArgument('vtl', vtl);
    connectionId = integerArgument('connectionId', connectionId, 0, 0xffff_ffff);
    flag = integerArgument('flag', flag, 0, 0xffff);
    const port = this.#ports.get(connectionId);
    if (port?.kind !== 'event') {
      return hvStatusCodes.HV_STATUS_INVALID_CONNECTION_ID;
    }
    if (vtl < port.minimumVtl) {
      return hvStatusCodes.HV_STATUS_OPERATION_DENIED;
    }
    if (flag >= port.flagCount) {
      return hvStatusCodes.HV_STATUS_INVALID_PARAMETER;
    }
    return port.handle(flag);
  }

  /**
   * Forgets every message that waits for its answer, or for the guest to come back for it, and every event that waits
   * for the handler of the one before it: the guest has been reset, and an equal message is a new one. The ports stay.
   * Handlers that have yet to answer go on; nobody gets their answer.
   *
   * @example
   * ```ts
   * import { SynicPortMap } from 'mshv';
   *
   * const map = new SynicPortMap();
   * map.addEventPort(0x2001, 0, { handleEvent: () => undefined });
   * map.reset();
   * ```
   */
  reset(): void {
    for (const port of this.#ports.values()) {
      port.forget();
    }
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const kinds = [...this.#ports.values()].map(({ kind }) => kind);
    const count = (wanted: RegisteredPort['kind']): number =>
      kinds.filter((kind) => kind === wanted).length;
    const [messagePorts, eventPorts] = [count('message'), count('event')];
    return inspected('SynicPortMap', { messagePorts, eventPorts }, depth, options);
  }

  #add(port: RegisteredPort): Handle {
    const { connectionId } = port;
    const present = this.#ports.get(connectionId);
    if (present !== undefined) {
      const article = present.kind === 'event' ? 'an' : 'a';
      throw new MshvError(
        `connection id 0x${connectionId.toString(16)} is in use by ${article} ${present.kind} port`,
        { code: 'ERR_MSHV_CONNECTION_ID_IN_USE', connectionId },
      );
    }
    this.#ports.set(connectionId, port);
    return createHandle(port.text, {
      isOpen: () => this.#ports.get(connectionId) === port,
      end: () => {
        this.#ports.delete(connectionId);
        port.forget();
      },
    });
  }
}

export { brand as synicPortMapBrand };
