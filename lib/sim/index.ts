export { type EncodableType, encodeMessage, type MessageFields } from '../abi/encode-message.js';
export type { GuestInterrupt } from './guest-interrupt.js';
export {
  type DriverIrqFd,
  type DriverRoute,
  type EndOfInterrupt,
  type FailNextOptions,
  type SimulatedIoctl,
  Simulator,
  type SimulatorOptions,
} from './simulator.js';
