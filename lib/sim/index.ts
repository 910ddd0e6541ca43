/**
 * The simulated driver, and the guest's side of it.
 *
 * @module mshv/sim
 */

export { synicMsrs } from '../abi/synic.js';
export { type EncodableType, encodeMessage, type MessageFields } from './encode-message.js';
export type {
  DriverDoorbell,
  DriverIrqFd,
  DriverMemory,
  DriverRoute,
  InstalledIntercept,
  RegisteredResult,
} from './driver-state.js';
export type { GuestInterrupt } from './guest-interrupt.js';
export type { FailNextOptions, RefuseOptions, SimulatedIoctl } from './planned-failures.js';
export { type EndOfInterrupt, Simulator } from './simulator.js';
export type { SimulatorOptions } from './simulator-options.js';
export type { AccessSize } from './guest-steps.js';
export { ScriptedGuest } from './scripted-guest.js';
export type { SynicSetup } from './synic-setup.js';
