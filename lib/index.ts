export { type HvStatus, MshvError } from './errors.js';
export { EventFd, type EventFdOptions } from './eventfd.js';
export type { OpenFailure, OpenFailureCause } from './device/availability.js';
export { Mshv, type MshvOpenOptions, type PartitionOptions } from './device/mshv.js';
export type { HypercallName } from './abi/hypercalls.js';
export type { CpuidValues, GvaTranslation } from './abi/hypercall-outputs.js';
export type { InterruptType } from './abi/interrupt-types.js';
export type {
  PartitionPropertyName,
  SyntheticProcessorFeature,
  VmmCapability,
} from './abi/properties.js';
export type { HostProperties, ProcessorVendor } from './device/host-properties.js';
export type { HypercallOptions } from './device/hypercall.js';
export type {
  InterceptedAccess,
  InterceptKind,
  InterceptRequest,
} from './device/intercept-request.js';
export type {
  CpuidBits,
  CpuidResultOptions,
  MsrAction,
  MsrResultOptions,
} from './device/intercept-result.js';
export type { PropertyExOptions } from './device/partition-property.js';
export { type DriverGeneration, Partition } from './device/partition.js';
export {
  type AccessStatesOptions,
  type CpuidLeafInput,
  type CpuidValuesOptions,
  type EventSignal,
  type InterruptRequest,
  PartitionCalls,
  type SintMessage,
  type TranslatedGva,
  type TranslateGvaFlag,
  type TranslateGvaOptions,
} from './device/partition-calls.js';
export { Vp } from './device/vp.js';
export { GsiAllocator } from './irq/gsi-allocator.js';
export { IrqFd, type NewResampleRouteOptions, type NewRouteOptions } from './irq/irqfd.js';
export { IrqFdRoute } from './irq/irqfd-route.js';
export type { MsiRoute, MsiRouteInput } from './irq/msi.js';
export { MsiRouteTable, type RouteChange } from './irq/msi-route-table.js';
export type { Native } from './native.js';
