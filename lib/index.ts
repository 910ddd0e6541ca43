/**
 * The device, partitions, VPs, guest memory, interrupt routes and the SynIC.
 *
 * The examples of methods go on from this one, where they do not import the simulator themselves:
 *
 * @example
 * ```ts
 * import { Simulator } from 'mshv/sim';
 *
 * const simulator = new Simulator();
 * const device = simulator.open(); // on a host: Mshv.open()
 * const partition = device.createPartition();
 * partition.initialize();
 * const vp = partition.createVp(0);
 * const memory = partition.allocateMemory(2 * 2 ** 20);
 * const mapped = partition.mapMemory(memory, { gpa: 0 });
 * const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000, data: 0x41 } });
 * const guest = simulator.guest(partition, 0); // tells VP 0 what to do
 * ```
 *
 * @module mshv
 */

export type { ErrnoCode } from './errno.js';
export type { MshvErrorCode } from './error-codes.js';
export { type HvStatus, MshvError, type MshvErrorDetails } from './errors.js';
export type { WaitOptions } from './abort-signal.js';
export { EventFd, type EventFdOptions, type NewEventOptions } from './eventfd/eventfd.js';
export type { OpenFailure, OpenFailureCause } from './device/availability.js';
export { Mshv, type MshvOpenOptions } from './device/mshv.js';
export type { PartitionOptions } from './device/partition-options.js';
export { arm64Registers, type Arm64RegisterName } from './abi/arm64-registers.js';
export { x64Registers, type X64RegisterName } from './abi/x64-registers.js';
export type {
  RegisterInput,
  RegisterName,
  RegisterValue,
  SegmentRegisterName,
  TableRegister,
  TableRegisterName,
} from './abi/registers.js';
export type { SegmentRegister } from './abi/segment-register.js';
export type { CacheType } from './abi/cache-type.js';
export type { InterceptAccess } from './abi/intercept-types.js';
export type { Intercept, InterceptType } from './abi/intercepts.js';
export { hvStatusCodes, type HvStatusName } from './abi/hv-status.js';
export { messageTypes, type MessageTypeName } from './abi/message-types.js';
export type {
  Arm64GpaIntercept,
  Arm64Intercept,
  Arm64ResetIntercept,
  Arm64ResetType,
  Arm64UnacceptedGpaIntercept,
  Arm64UnmappedGpaIntercept,
} from './abi/messages/arm64-intercepts.js';
export type {
  Arm64HypercallIntercept,
  Arm64SintDeliverable,
} from './abi/messages/arm64-synic-intercepts.js';
export type { CpuidIntercept } from './abi/messages/cpuid-intercept.js';
export type { ExceptionIntercept } from './abi/messages/exception-intercept.js';
export type { GpaAttributeIntercept } from './abi/messages/gpa-attribute-intercept.js';
export type {
  AsyncCallCompletion,
  InvalidVpRegisterValue,
  OpaqueIntercept,
  TimerExpired,
  UnsupportedFeature,
  UnsupportedFeatureName,
} from './abi/messages/headerless-messages.js';
export type { HypercallIntercept } from './abi/messages/hypercall-intercept.js';
export type {
  ApicEoi,
  InterruptionDeliverable,
  InterruptionType,
  SintDeliverable,
  SintIntercept,
  SipiIntercept,
} from './abi/messages/interrupt-messages.js';
export type { IoPortIntercept } from './abi/messages/io-port-intercept.js';
export type { GpaPageRange, VpSignal } from './abi/messages/layout.js';
export type {
  GpaIntercept,
  UnacceptedGpaIntercept,
  UnmappedGpaIntercept,
} from './abi/messages/memory-intercept.js';
export type { JsonValue, Message, MessageJson, UnknownMessage } from './abi/messages/message.js';
export type { MsrIntercept } from './abi/messages/msr-intercept.js';
export type {
  SchedulerVpSignalBitset,
  SchedulerVpSignalPair,
} from './abi/messages/scheduler-messages.js';
export type { SevVmgexitIntercept } from './abi/messages/sev-vmgexit-intercept.js';
export type {
  HaltIntercept,
  UnrecoverableException,
  X64Intercept,
} from './abi/messages/x64-intercept.js';
export { type IoeventfdSize } from './abi/ioeventfd.js';
export type { HypercallName } from './abi/hypercalls.js';
export type { Architecture } from './abi/architecture.js';
export {
  accessStateBits,
  type CpuidValues,
  type GvaTranslation,
  type TranslateGvaResult,
} from './abi/hypercall-outputs.js';
export type { InterruptType } from './abi/interrupt-types.js';
export {
  partitionProperties,
  type PartitionPropertyName,
  type ProcessorFeature,
  processorFeatures,
  type SyntheticProcessorFeature,
  syntheticProcessorFeatures,
  vmmCapabilities,
  type VmmCapability,
  type XsaveFeature,
  xsaveFeatures,
} from './abi/properties.js';
export { GuestMemory } from './memory/guest-memory.js';
export type {
  GuestMemoryFileOptions,
  GuestMemoryOptions,
  NewMemoryOptions,
} from './memory/guest-memory-options.js';
export type { MemoryView, ViewConstructor } from './memory/memory-view.js';
export type { HostProperties, ProcessorVendor } from './device/host-properties.js';
export type { HypercallOptions } from './hypercall/hypercall.js';
export type {
  InterceptedAccess,
  InterceptKind,
  InterceptRequest,
} from './hypercall/intercept-request.js';
export type {
  CpuidBits,
  CpuidResultOptions,
  MsrAction,
  MsrResultOptions,
} from './hypercall/intercept-result.js';
export { MappedMemory } from './memory/mapped-memory.js';
export type {
  GpaRange,
  MapMemoryOptions,
  TrackedPagesOptions,
  WriteMemoryOptions,
} from './memory/memory-map-options.js';
export { PageBitmap } from './memory/page-bitmap.js';
export type { PropertyExOptions } from './hypercall/partition-property.js';
export { type DriverGeneration, Partition, type VpOptions } from './device/partition.js';
export { PartitionCalls } from './hypercall/partition-calls.js';
export type { AccessStatesOptions } from './hypercall/access-states.js';
export type { CpuidLeafInput, CpuidValuesOptions } from './hypercall/cpuid-values.js';
export type { EventSignal, SintMessage } from './hypercall/direct-synic.js';
export type { InterruptRequest, RequestOutcome } from './hypercall/interrupt-request.js';
export type {
  TranslatedGva,
  TranslateGvaFlag,
  TranslateGvaOptions,
} from './hypercall/translate-gva.js';
export { SharedPartition } from './hypercall/shared-partition.js';
export type {
  EventFdToken,
  GuestMemoryToken,
  PartitionToken,
  ReceiveOptions,
  VpToken,
} from './share-token.js';
export { Vp } from './vp/vp.js';
export { type ExitAnswer, type ExitHandler, type RunEnd, StartedRun } from './vp/started-run.js';
export type { RegisterInputs, Registers } from './vp/named-registers.js';
export { RegisterPage, type WritableRegisterPageName } from './vp/register-page.js';
export type { HypercallAnswer, HypercallResult } from './vp/exit-completion.js';
export { dirtyMasks, type RegisterPageName } from './abi/register-page.js';
export type { InterceptMessages } from './abi/intercepts.js';
export { lapicStateFields, syntheticTimersLayout, type VpStateType } from './abi/vp-state.js';
export { Doorbell } from './irq/doorbell.js';
export type { DoorbellOptions } from './irq/doorbell-table.js';
export type { Handle } from './handle.js';
export { GsiAllocator } from './irq/gsi-allocator.js';
export { IrqFd } from './irq/irqfd.js';
export type { NewResampleRouteOptions, NewRouteOptions } from './irq/route-options.js';
export { IrqFdRoute, type MsiOutcome } from './irq/irqfd-route.js';
export type { MsiRefusalCode, MsiRoute, MsiRouteInput } from './irq/msi.js';
export { MsiRouteTable, type RouteChange } from './irq/msi-route-table.js';
export { type FailureListener, FailureReports } from './failures.js';
export {
  DirectGuestEventPort,
  type DirectGuestEventPortOptions,
  type EventPartition,
} from './synic/guest-event-port.js';
export type { GuestHypercall, HypercallMemory } from './synic/guest-hypercall.js';
export { GuestMessages, type GuestMessagesOptions } from './synic/guest-messages.js';
export type { MessagePartition } from './synic/slot-post.js';
export type { MessageVpOwner } from './synic/deliverability-notifications.js';
export type { SavedGuestMessages, SavedMessage, SavedQueue } from './synic/saved-guest-messages.js';
export type {
  GuestEventPort,
  GuestMessagePort,
  MessagePoster,
  PostResult,
} from './synic/guest-ports.js';
export type { HostEventPort, HostMessagePort } from './synic/host-ports.js';
export type { HypercallCompletion } from './synic/hypercall-completion.js';
export {
  HypercallDispatcher,
  type HypercallDispatcherOptions,
} from './synic/hypercall-dispatcher.js';
export type { HypercallCall, HypercallDefinition } from './synic/hypercall-table.js';
export { Interrupt } from './irq/interrupt.js';
export type { MemoryBits as MonitorBits } from './memory/memory-bits.js';
export {
  type MonitorMemory,
  MonitorPages,
  type MonitorPagesOptions,
} from './synic/monitor-pages.js';
export {
  type DoorbellPlace,
  PartitionSynic,
  type PartitionSynicOptions,
  type SynicPartition,
  type SynicVp,
} from './synic/partition-synic.js';
export type { SynicMemory } from './synic/partition-memory.js';
export type { RegisterPartition } from './synic/deliverability-register.js';
export { PolledMonitorPages } from './synic/polled-monitor-pages.js';
export type {
  RetargetInterruptHandler,
  RetargetInterruptRequest,
} from './synic/retarget-interrupt-call.js';
export type { Synic, SynicMonitor } from './synic/synic.js';
export type {
  MonitorInfo,
  MonitorPageGpas,
  SynicMonitorAccess,
  SynicPortAccess,
} from './synic/synic-port-access.js';
export { SynicPortMap, type SynicPortMapOptions } from './synic/synic-port-map.js';
export { SynicPorts } from './synic/synic-ports.js';
export type { Native } from './native.js';
