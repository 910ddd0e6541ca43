export { synicMsrs } from '../abi/synic.js';
export { type EncodableType, encodeMessage, type MessageFields } from './encode-message.js';
export type {
  DriverDoorbell,
  DriverMemory,
  InstalledIntercept,
  RegisteredResult,
} from './driver-state.js';
export type { GuestInterrupt } from './guest-interrupt.js';
export {
  type DriverIrqFd,
  type DriverRoute,
  type EndOfInterrupt,
  type FailNextOptions,
  type RefuseOptions,
  type SimulatedIoctl,
  Simulator,
  type SimulatorOptions,
} from './simulator.js';
export { type AccessSize, ScriptedGuest, type SynicSetup } from './scripted-guest.js';
