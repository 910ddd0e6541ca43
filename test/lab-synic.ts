import { encodeMessage } from '../lib/sim/encode-message.js';
import { hvStatusCodes } from '../lib/abi/hv-status.js';
import { hypercalls } from '../lib/abi/hypercalls.js';
import { synicLimits } from '../lib/abi/synic.js';
import { x64Registers } from '../lib/abi/x64-registers.js';
import type { Partition } from '../lib/index.js';
import type { FakeHypervisor, PostedMessage, SignaledEvent } from '../lab/fakehv.js';
import type { SeenEvent, SeenMessage } from './guest-side.js';

const postMessage = hypercalls.HVCALL_POST_MESSAGE_DIRECT.code;
const signalEvent = hypercalls.HVCALL_SIGNAL_EVENT_DIRECT.code;
const setRegisters = hypercalls.HVCALL_SET_VP_REGISTERS.code;
const { DELIVERABILITY_NOTIFICATIONS, SCONTROL, SIMP, SIEFP } = x64Registers;
/** The notifications of SINT 0, in their register. */
const sintsShift = 48n;

/** The driver gives the hypervisor more memory then, and calls again. */
const lacksMemory = new Set<number>([
  hvStatusCodes.HV_STATUS_INSUFFICIENT_MEMORY,
  hvStatusCodes.HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY,
]);

interface Slot {
  message: PostedMessage | undefined;
  /** Another one was refused meanwhile: the guest is to write EOM. */
  pending: boolean;
}

interface SynicState {
  readonly partition: Partition;
  readonly id: number;
  /** By VP and SINT. */
  readonly slots: Map<string, Slot>;
  readonly signals: SignaledEvent[];
}

/**
 * The SynICs of VPs, which the lab's hypervisor has not in scripted mode: it takes every message and event. Here it is
 * made to refuse what a SynIC refuses, each time just before the driver makes the call; what it has taken is in
 * its log. Notifications of free slots are queued as messages, when their register is written and at EOM.
 */
export class LabSynic {
  readonly #hypervisor: FakeHypervisor;
  #states: SynicState[] = [];
  /** By hypercall: how many it will refuse anyway. */
  readonly #refusals = new Map<number, number>();

  constructor(hypervisor: FakeHypervisor) {
    this.#hypervisor = hypervisor;
  }

  add(partition: Partition, id: number): void {
    this.#states = this.#states.filter((state) => !state.partition.closed);
    this.#states.push({ partition, id, slots: new Map(), signals: [] });
  }

  /** A test lets the hypervisor refuse hypercalls. */
  refuses(code: number, status: number, count: number): void {
    if (!lacksMemory.has(status)) {
      this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + count);
    }
  }

  /** A hypercall is about to be made through a descriptor. */
  before(fd: number, code: number, input: Uint8Array): void {
    if (code !== postMessage && code !== signalEvent) return;
    const refusals = this.#refusals.get(code) ?? 0;
    if (refusals > 0) {
      this.#refusals.set(code, refusals - 1);
      return;
    }
    const state = this.#stateOf(fd);
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    if (state === undefined || view.byteLength < (code === postMessage ? 20 : 16)) return;
    const vp = view.getUint32(8, true);
    if (!state.partition.hasVp(vp & 0xff)) return;
    if (!this.#isEnabled(state, vp, code === postMessage ? SIMP : SIEFP)) {
      this.#hypervisor.inject(code, hvStatusCodes.HV_STATUS_INVALID_SYNIC_STATE);
    } else if (code === postMessage) {
      this.#update(state);
      const slot = slotOf(state, vp, view.getUint32(16, true));
      if (slot.message !== undefined) {
        slot.pending = true;
        this.#hypervisor.inject(code, hvStatusCodes.HV_STATUS_OBJECT_IN_USE);
      }
    }
  }

  /** A hypercall has been made. */
  after(fd: number, code: number, reps: number, input: Uint8Array): void {
    if (code !== setRegisters) return;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    for (let i = 0; i < reps && 48 + 32 * i <= view.byteLength; i++) {
      if (view.getUint32(16 + 32 * i, true) === DELIVERABILITY_NOTIFICATIONS) {
        const state = this.#stateOf(fd);
        if (state !== undefined) this.#notify(state, view.getUint32(8, true));
      }
    }
  }

  takeMessage(partition: Partition, vp: number, sint: number): SeenMessage | undefined {
    const state = this.#stateOf(partition.fd);
    if (state === undefined) return undefined;
    this.#update(state);
    const slot = slotOf(state, vp, sint);
    const { message, pending } = slot;
    slot.message = undefined;
    slot.pending = false;
    if (pending) this.#notify(state, vp);
    return message && { type: message.type, size: message.size, head: message.head };
  }

  takeEvents(partition: Partition, vp: number): SeenEvent[] {
    const state = this.#stateOf(partition.fd);
    if (state === undefined) return [];
    this.#update(state);
    const own = state.signals.filter((signal) => signal.vp === vp);
    for (const signal of own) state.signals.splice(state.signals.indexOf(signal), 1);
    const flags = new Set(own.map(({ sint, flag }) => sint * synicLimits.eventFlags + flag));
    return [...flags]
      .sort((one, other) => one - other)
      .map((number) => ({
        sint: Math.floor(number / synicLimits.eventFlags),
        flag: number % synicLimits.eventFlags,
      }));
  }

  #stateOf(fd: number): SynicState | undefined {
    return this.#states.find(({ partition }) => !partition.closed && partition.fd === fd);
  }

  /** Puts what the hypervisor has taken where the guest finds it. */
  #update(state: SynicState): void {
    for (const message of this.#hypervisor.messages(state.id)) {
      const slot = slotOf(state, message.vp, message.sint);
      if (slot.message !== undefined) {
        throw new Error(`a message to VP ${message.vp}, SINT ${message.sint} was overwritten`);
      }
      slot.message = message;
    }
    state.signals.push(...this.#hypervisor.signals(state.id));
  }

  #isEnabled(state: SynicState, vp: number, page: number): boolean {
    return (this.#register(state, vp, SCONTROL) & this.#register(state, vp, page) & 1n) === 1n;
  }

  /** Beside the hypercall that is about to be made, and what a test lets the hypervisor refuse. */
  #register({ id }: SynicState, vp: number, name: number): bigint {
    return this.#hypervisor.register(id, vp, name);
  }

  /** Tells of the free slots that somebody waits for. */
  #notify(state: SynicState, vp: number): void {
    const value = this.#register(state, vp, DELIVERABILITY_NOTIFICATIONS);
    if (value >> sintsShift === 0n || !this.#isEnabled(state, vp, SIMP)) return;
    this.#update(state);
    let free = 0;
    for (let sint = 0; sint < synicLimits.sints; sint++) {
      const asked = (value >> (sintsShift + BigInt(sint))) & 1n;
      if (asked === 1n && slotOf(state, vp, sint).message === undefined) free |= 1 << sint;
    }
    if (free === 0) return;
    const { id } = state;
    const rest = value & ~(BigInt(free) << sintsShift);
    this.#hypervisor.setRegister(id, vp, DELIVERABILITY_NOTIFICATIONS, rest);
    const message = encodeMessage('sint-deliverable', { vpIndex: vp, deliverableSints: free });
    this.#hypervisor.queueIntercept(id, vp, message);
  }
}

function slotOf({ slots }: SynicState, vp: number, sint: number): Slot {
  const key = `${vp}:${sint}`;
  let slot = slots.get(key);
  if (slot === undefined) {
    slot = { message: undefined, pending: false };
    slots.set(key, slot);
  }
  return slot;
}
