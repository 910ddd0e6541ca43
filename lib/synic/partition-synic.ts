import { inspect, type InspectOptions } from 'node:util';

import { vpArgument, vtlArgument } from '../abi/arguments.js';
import { hvStatusCodes } from '../abi/hv-status.js';
import type { Intercept } from '../abi/intercepts.js';
import type { HypercallIntercept } from '../abi/messages/hypercall-intercept.js';
import type { Arm64HypercallIntercept } from '../abi/messages/arm64-synic-intercepts.js';
import { Message, messageBrand } from '../abi/messages/message.js';
import {
  functionArgument,
  instanceArgument,
  optionsArgument,
  rangeError,
  typeError,
} from '../arguments.js';
import type { HypercallAnswer } from '../vp/exit-completion.js';
import type { InterceptRequest } from '../hypercall/intercept-request.js';
import type { EventSignal, SintMessage } from '../hypercall/direct-synic.js';
import { partitionNative } from '../hypercall/partition-calls.js';
import { closedError } from '../errors.js';
import { type EventFd, eventFdBrand } from '../eventfd/eventfd.js';
import type { Handle } from '../handle.js';
import { inspected } from '../inspection.js';
import type { DoorbellOptions } from '../irq/doorbell-table.js';
import { type Native, optionalNative } from '../native.js';
import {
  array,
  optional,
  pageMultiple,
  takeOptions,
  type OptionTable,
  type Taken,
} from '../options.js';
import { connectionIdArgument, implementation, implementationArgument } from './arguments.js';
import { DeliverabilityRegister, type RegisterPartition } from './deliverability-register.js';
import { reportsArgument, type FailureListener, type FailureReports } from '../failures.js';
import {
  DirectGuestEventPort,
  type DirectGuestEventPortOptions,
  type EventPartition,
} from './guest-event-port.js';
import type { MessageVpOwner } from './deliverability-notifications.js';
import { boundArgument, GuestMessages } from './guest-messages.js';
import type { GuestMessagePort, MessagePoster, PostResult } from './guest-ports.js';
import { HypercallDispatcher } from './hypercall-dispatcher.js';
import { isOwned, mappedMemory, type SynicMemory } from './partition-memory.js';
import { PolledMonitorPages } from './polled-monitor-pages.js';
import type { RetargetInterruptHandler } from './retarget-interrupt-call.js';
import { SynicPortMap } from './synic-port-map.js';
import type { Synic } from './synic.js';

const exitBrand = messageBrand(Message);

/** What the SynIC needs of a partition: a `Partition` has it, and a `SharedPartition`. */
export interface SynicPartition extends RegisterPartition {
  /** Whether there is a VP with this index. */
  hasVp(index: number): boolean;
  /** As `partition.postMessageDirect`. */
  postMessageDirect(message: SintMessage): void;
  /** As `partition.signalEventDirect`. */
  signalEventDirect(event: EventSignal): boolean;
  /** As `partition.installIntercept`. */
  installIntercept(intercept: InterceptRequest): void;
}

/** A VP whose exits `PartitionSynic.handleExit` handles: a `Vp` is one. */
export interface SynicVp {
  /** As `vp.completeHypercall`. */
  completeHypercall(
    exit: HypercallIntercept | Arm64HypercallIntercept,
    answer: HypercallAnswer<HypercallIntercept | Arm64HypercallIntercept>,
  ): void;
  /** Throws unless the VP is stopped with this exit. Where this is absent, whoever has the VP knows. */
  checkExit?(exit: Intercept): void;
}

/** Where a guest can write in order to signal a connection. */
export type DoorbellPlace = Pick<DoorbellOptions, 'gpa' | 'size' | 'match'>;

/** How the SynIC of a partition behaves. */
export interface PartitionSynicOptions {
  /**
   * The guest's memory: where the input of slow hypercalls and the monitor pages are. Default: what the
   * partition has mapped, and `monitorPages` to allocate. Needed with a SharedPartition, which does not know what is
   * mapped.
   */
  memory?: SynicMemory;
  /** See `GuestMessagesOptions.bound`. */
  messageBound?: number;
  /**
   * Says where the guest writes, instead of calling `HvSignalEvent`, in order to signal a connection; undefined where
   * it does not. The OS event of a port is bound to a doorbell there: no VP exits for it. (The driver binds
   * eventfds to addresses only, never to connections: `MSHV_IOEVENTFD`.) A guest has to know of the address,
   * which VMBus has no way to tell it. A doorbell does not look at the VTL of who writes: an address that all of the
   * guest can write to is none for a port whose `minimumVtl` is above 0. Not with a SharedPartition. Default: nowhere,
   * so that the dispatcher signals OS events.
   */
  hostEventDoorbell?: (connectionId: number, minimumVtl: number) => DoorbellPlace | undefined;
  /**
   * The guest physical addresses that `allocateMonitorPage` may give out: pages that are mapped, and that nobody
   * else gives to the guest. Not with `memory`, which allocates itself. Default: none.
   */
  monitorPages?: readonly bigint[];
  /** Answers `HvRetargetDeviceInterrupt`. Default: it is left to the hypervisor. */
  retargetDeviceInterrupt?: RetargetInterruptHandler;
  /**
   * The addon that makes the events of interrupts. Default: that of a `Partition` or `SharedPartition`; of anything else, the
   * one that makes system calls.
   */
  native?: Native;
  /**
   * Is told of what fails where no caller can be told: see the codes `ERR_MSHV_PORT_HANDLER`,
   * `ERR_MSHV_HYPERCALL_HANDLER`, `ERR_MSHV_MESSAGE_REFUSED`, `ERR_MSHV_NOTIFICATION`,
   * `ERR_MSHV_EVENT_REFUSED`, `ERR_MSHV_MONITOR_PAGE`. A guest can provoke most of them as often as it likes. Default: the first failure of each
   * thing is a process warning.
   */
  onError?: FailureListener | FailureReports;
}

type DoorbellChoice = NonNullable<PartitionSynicOptions['hostEventDoorbell']>;

const synicOptions = {
  memory: optional(
    implementation<SynicMemory>(['read'], ['page', 'allocatePage', 'freePage', 'onMapped']),
  ),
  messageBound: optional(boundArgument),
  hostEventDoorbell: optional<DoorbellChoice, DoorbellChoice>(functionArgument),
  monitorPages: optional(array(pageMultiple())),
  retargetDeviceInterrupt: optional<RetargetInterruptHandler, RetargetInterruptHandler>(
    functionArgument,
  ),
  native: optionalNative,
  onError: optional(reportsArgument),
} satisfies OptionTable<PartitionSynicOptions>;

/**
 * The SynIC of a partition: what `SynicPorts` needs to give ports to VMBus or to any other user.
 *
 * It posts and signals by `HVCALL_POST_MESSAGE_DIRECT` and `HVCALL_SIGNAL_EVENT_DIRECT`, and gets what the
 * guest posts and signals from the exits that whoever runs a VP gives to `handleExit`. It belongs to one
 * environment, and so do the VPs that it is given exits of.
 *
 * @example
 * ```ts
 * import { PartitionSynic, SynicPorts } from 'mshv';
 *
 * using synic = new PartitionSynic(partition);
 * const ports = new SynicPorts(synic);
 * synic.installIntercepts(); // the guest's hypercalls become exits
 * ports.addEventPort(0x2001, 0, { handleEvent: (flag) => console.log(flag) }); // 7
 * guest.signalEvent(0x2001, 7).halt();
 * const exit = vp.run();
 * console.log(exit && synic.handleExit(vp, exit)); // true
 * ```
 */
export class PartitionSynic implements Synic, Disposable {
  readonly #partition: SynicPartition;
  readonly #newHostEventDoorbell: Synic['newHostEventPort'];
  readonly #retargets: boolean;
  readonly #eventPartition: EventPartition;
  readonly #eventPortOptions: DirectGuestEventPortOptions;
  readonly #answer: HypercallAnswer<HypercallIntercept | Arm64HypercallIntercept>;
  #closed = false;
  /** Where the guest's posts and signals find the host's ports. */
  readonly portMap: SynicPortMap;
  /** The guest's hypercalls. A VMM adds its own here. */
  readonly hypercalls: HypercallDispatcher;
  /** The messages on their way to the guest. */
  readonly messages: GuestMessages;
  /** The guest's monitor pages: polled where they are mapped. `handleWrite` and `handleRead` are for those that are not. */
  readonly monitorSupport: PolledMonitorPages;

  constructor(partition: SynicPartition, options: PartitionSynicOptions = {}) {
    implementationArgument('partition', partition, [
      'hasVp',
      'postMessageDirect',
      'signalEventDirect',
      'getRegisters',
      'setRegisters',
      'installIntercept',
    ]);
    const checked = takeOptions('options', options, synicOptions);
    const { messageBound, hostEventDoorbell, retargetDeviceInterrupt, onError } = checked;
    const native = checked.native ?? partitionNative(partition);
    const memory = memoryArgument(partition, checked);
    if (hostEventDoorbell !== undefined) {
      if (!isOwned(partition)) {
        throw rangeError(
          'options.hostEventDoorbell',
          'absent: this partition has no doorbells',
          hostEventDoorbell,
        );
      }
      this.#newHostEventDoorbell = (connectionId, minimumVtl, event) => {
        const place = hostEventDoorbell(connectionId, minimumVtl);
        if (place === undefined) {
          return undefined;
        }
        optionsArgument('hostEventDoorbell()', place, ['gpa', 'size', 'match']);
        return partition.registerDoorbell({ ...place, event });
      };
    }
    // All of it counts together.
    const reporting = onError === undefined ? {} : { onError };
    this.#partition = partition;
    this.#retargets = retargetDeviceInterrupt !== undefined;
    this.#eventPortOptions = { ...reporting, ...(native !== undefined && { native }) };
    this.#eventPartition = {
      hasVp: (index) => partition.hasVp(index),
      signalEvent: (vtl, vp, sint, flag) => partition.signalEventDirect({ vp, vtl, sint, flag }),
    };
    this.portMap = new SynicPortMap(reporting);
    this.hypercalls = new HypercallDispatcher({
      portMap: this.portMap,
      memory,
      ...(retargetDeviceInterrupt !== undefined && { retargetDeviceInterrupt }),
      ...reporting,
    });
    this.#answer = (exit) => this.hypercalls.dispatch(exit);
    this.messages = new GuestMessages(
      {
        hasVp: (index) => partition.hasVp(index),
        postMessage: (vtl, vp, sint, type, payload) => {
          partition.postMessageDirect({ vp, vtl, sint, type, payload });
          return hvStatusCodes.HV_STATUS_SUCCESS;
        },
      },
      { ...reporting, ...(messageBound !== undefined && { bound: messageBound }) },
    );
    this.monitorSupport = new PolledMonitorPages(this.portMap, { memory, ...reporting });
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether there are doorbells to bind OS events to. */
  get preferOsEvents(): boolean {
    return this.#newHostEventDoorbell !== undefined;
  }

  /**
   * Makes the guest's hypercalls exits of its VPs, which `handleExit` handles: those that the hypervisor does
   * not know, those that name a connection it does not know and, with a handler for them, those that retarget an
   * interrupt of a device it does not know. After `partition.initialize()`. Harmless a second time.
   *
   * @throws MshvError as the hypervisor refuses an intercept
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.installIntercepts();
   * guest.signalEvent(0x2001, 7);
   * console.log(vp.run()?.type); // hypercall
   * ```
   */
  installIntercepts(): void {
    this.#partition.installIntercept({ type: 'hypercall' });
    this.#partition.installIntercept({ type: 'unknown-synic-connection' });
    if (this.#retargets) {
      this.#partition.installIntercept({ type: 'unknown-device-retarget' });
    }
  }

  /**
   * Lets messages to a VP wait for its slots: from now on notifications of free slots are asked for, and
   * their exits have to be given to `handleExit`. Without this, messages for a busy slot wait until another one is posted.
   *
   * @param vp - its index
   * @param owner - writes the VP's notification register, where somebody else wants to: a VMM that asks for
   *   interrupt windows by the same register from another environment, say. Default: it is read and written
   *   through the partition, with the bits that are not SINTs' left alone
   * @returns ends this; harmless a second time
   * @throws MshvError `ERR_MSHV_VP_OWNED`
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using attached = synic.attachVp(0);
   * console.log(attached.closed); // false
   * ```
   */
  attachVp(
    vp: number,
    owner: MessageVpOwner = new DeliverabilityRegister(this.#partition, vpArgument('vp', vp)),
  ): Handle {
    this.#open();
    return this.messages.attachVp(vp, owner);
  }

  /**
   * Handles the exits that are the SynIC's: a hypercall is dispatched and completed, whatever its status is; free slots
   * get their messages. A handler of a hypercall may stop the run, and the hypercall is completed
   * for the next one, or close the VP: then it is not.
   *
   * @param vp - that has stopped with `exit`
   * @returns whether it was one of those: the VP can run on
   * @throws MshvError as `vp.completeHypercall()` and `vp.checkExit()`. An exit that the VP did not stop with is not
   *   handled; a hypercall that could not be completed has been dispatched, and would be again
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * guest.halt();
   * const exit = vp.run();
   * console.log(exit && synic.handleExit(vp, exit)); // false
   * ```
   */
  handleExit(vp: SynicVp, exit: Intercept): boolean {
    implementationArgument('vp', vp, ['completeHypercall'], ['checkExit']);
    instanceArgument<Message>('exit', exit, exitBrand);
    switch (exit.type) {
      case 'hypercall':
        vp.completeHypercall(exit, this.#answer);
        return true;
      case 'arm64-hypercall':
        if (!exit.hasControl) {
          return false;
        }
        vp.completeHypercall(exit, this.#answer);
        return true;
      case 'sint-deliverable':
      case 'arm64-sint-deliverable':
        vp.checkExit?.(exit);
        this.messages.sintsDeliverable(exit.vtl, exit.vpIndex, exit.deliverableSints);
        return true;
      default:
        return false;
    }
  }

  newHostEventPort(
    connectionId: number,
    minimumVtl: number,
    event: EventFd,
  ): Disposable | undefined {
    connectionId = connectionIdArgument(connectionId);
    minimumVtl = vtlArgument('minimumVtl', minimumVtl);
    instanceArgument('event', event, eventFdBrand);
    return this.#newHostEventDoorbell?.(connectionId, minimumVtl, event);
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * console.log(synic.postMessage(0, 0, 2, 1, Uint8Array.of(15))); // true
   * ```
   */
  postMessage(...message: Parameters<MessagePoster['postMessage']>): PostResult {
    return this.messages.postMessage(...message);
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using port = synic.newGuestMessagePort(0, 0, 2); // VTL, VP, SINT
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * console.log(port.post(1, Uint8Array.of(15))); // true
   * ```
   */
  newGuestMessagePort(vtl: number, vp: number, sint: number): GuestMessagePort {
    return this.messages.newPort(vtl, vp, sint);
  }

  /**
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * using port = synic.newGuestEventPort();
   * guest.enableSynic({ simp: 0x3000, siefp: 0x4000, sints: { 2: 0x52 } }).halt();
   * vp.run();
   * port.set(0, 0, 2, 7); // VTL, VP, SINT, flag
   * console.log(port.signal(), port.signal()); // true false
   * ```
   */
  newGuestEventPort(): DirectGuestEventPort {
    return new DirectGuestEventPort(this.#eventPartition, this.#eventPortOptions);
  }

  /**
   * The guest has been reset: messages in both directions are forgotten, see `SynicPortMap.reset` and
   * `GuestMessages.reset`, and so are the monitor pages. The ports stay.
   *
   * @example
   * ```ts
   * import { PartitionSynic } from 'mshv';
   *
   * using synic = new PartitionSynic(partition);
   * synic.reset(); // with the VM: what waits for the guest is dropped
   * ```
   */
  reset(): void {
    this.portMap.reset();
    this.messages.reset();
    this.monitorSupport.close();
  }

  /**
   * Forgets messages and monitor pages as `reset` does, and takes no more VPs. The ports are their owners' to close.
   * Harmless a second time, and after the partition is closed.
   */
  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.reset();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    return inspected(
      'PartitionSynic',
      { ports: this.portMap.size, queued: this.messages.size, closed: this.#closed },
      depth,
      options,
    );
  }

  #open(): void {
    if (this.#closed) {
      throw closedError('PartitionSynic');
    }
  }
}

function memoryArgument(
  partition: SynicPartition,
  { memory, monitorPages }: Taken<typeof synicOptions>,
): SynicMemory {
  if (memory !== undefined) {
    if (monitorPages !== undefined) {
      throw rangeError('options.monitorPages', 'absent where there is a memory', monitorPages);
    }
    return memory;
  }
  if (!isOwned(partition)) {
    throw typeError('options.memory', 'an object, for a partition without mappings', memory);
  }
  return mappedMemory(partition, monitorPages ?? []);
}
