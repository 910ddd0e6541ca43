import { messageTypes } from '../message-types.js';
import {
  Arm64GpaIntercept,
  arm64HeaderLayout,
  arm64MemoryLayout,
  arm64MemorySize,
  Arm64ResetIntercept,
  arm64ResetLayout,
  arm64ResetSize,
  Arm64UnacceptedGpaIntercept,
  Arm64UnmappedGpaIntercept,
} from './arm64-intercepts.js';
import {
  Arm64HypercallIntercept,
  arm64HypercallLayout,
  arm64HypercallSize,
  Arm64SintDeliverable,
  arm64SintDeliverableLayout,
  arm64SintDeliverableSize,
} from './arm64-synic-intercepts.js';
import { CpuidIntercept, cpuidLayout, cpuidSize } from './cpuid-intercept.js';
import { ExceptionIntercept, exceptionLayout, exceptionSize } from './exception-intercept.js';
import {
  GpaAttributeIntercept,
  gpaAttributeLayout,
  gpaAttributeSize,
} from './gpa-attribute-intercept.js';
import {
  AsyncCallCompletion,
  asyncCallCompletionLayout,
  asyncCallCompletionSize,
  InvalidVpRegisterValue,
  invalidVpRegisterValueLayout,
  invalidVpRegisterValueSize,
  OpaqueIntercept,
  opaqueLayout,
  opaqueSize,
  TimerExpired,
  timerExpiredLayout,
  timerExpiredSize,
  UnsupportedFeature,
  unsupportedFeatureLayout,
  unsupportedFeatureSize,
} from './headerless-messages.js';
import { HypercallIntercept, hypercallLayout, hypercallSize } from './hypercall-intercept.js';
import {
  ApicEoi,
  apicEoiLayout,
  apicEoiSize,
  InterruptionDeliverable,
  interruptionDeliverableLayout,
  interruptionDeliverableSize,
  SintDeliverable,
  sintDeliverableLayout,
  sintDeliverableSize,
  SintIntercept,
  sintInterceptLayout,
  sintInterceptSize,
  SipiIntercept,
  sipiLayout,
  sipiSize,
} from './interrupt-messages.js';
import { IoPortIntercept, ioPortLayout, ioPortSize } from './io-port-intercept.js';
import type { Layout } from './layout.js';
import {
  GpaIntercept,
  memoryLayout,
  memorySize,
  UnacceptedGpaIntercept,
  UnmappedGpaIntercept,
} from './memory-intercept.js';
import type { Message } from './message.js';
import { MsrIntercept, msrLayout, msrSize } from './msr-intercept.js';
import {
  SchedulerVpSignalBitset,
  SchedulerVpSignalPair,
  vpSignalBitsetLayout,
  vpSignalBitsetSize,
  vpSignalPairLayout,
  vpSignalPairSize,
} from './scheduler-messages.js';
import { SevVmgexitIntercept, sevVmgexitLayout, sevVmgexitSize } from './sev-vmgexit-intercept.js';
import {
  HaltIntercept,
  UnrecoverableException,
  x64HeaderLayout,
  x64HeaderSize,
} from './x64-intercept.js';

interface MessageDefinition {
  /** Of `messageTypes`. */
  readonly code: number;
  readonly layout: Layout;
  /**
   * Whether the hypervisor sends it once. It sends that of an instruction again where nobody was told of it, for the guest
   * executes the instruction again.
   */
  readonly comesOnce: boolean;
  /** How many bytes the payload has. */
  readonly size: number;
  readonly view: new (message: Uint8Array) => Message;
}

/** The messages of every architecture by `type`. */
export const commonMessages = {
  'timer-expired': {
    code: messageTypes.TIMER_EXPIRED,
    comesOnce: true,
    layout: timerExpiredLayout,
    size: timerExpiredSize,
    view: TimerExpired,
  },
  opaque: {
    code: messageTypes.OPAQUE_INTERCEPT,
    comesOnce: true,
    layout: opaqueLayout,
    size: opaqueSize,
    view: OpaqueIntercept,
  },
  'sint-intercept': {
    code: messageTypes.SYNIC_SINT_INTERCEPT,
    comesOnce: true,
    layout: sintInterceptLayout,
    size: sintInterceptSize,
    view: SintIntercept,
  },
  'async-call-completion': {
    code: messageTypes.ASYNC_CALL_COMPLETION,
    comesOnce: true,
    layout: asyncCallCompletionLayout,
    size: asyncCallCompletionSize,
    view: AsyncCallCompletion,
  },
  'scheduler-vp-signal-bitset': {
    code: messageTypes.SCHEDULER_VP_SIGNAL_BITSET,
    comesOnce: true,
    layout: vpSignalBitsetLayout,
    size: vpSignalBitsetSize,
    view: SchedulerVpSignalBitset,
  },
  'scheduler-vp-signal-pair': {
    code: messageTypes.SCHEDULER_VP_SIGNAL_PAIR,
    comesOnce: true,
    layout: vpSignalPairLayout,
    size: vpSignalPairSize,
    view: SchedulerVpSignalPair,
  },
} as const satisfies Record<string, MessageDefinition>;

/** The messages of x64 alone, likewise. */
export const x64Messages = {
  'unmapped-gpa': {
    code: messageTypes.UNMAPPED_GPA,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...memoryLayout },
    size: memorySize,
    view: UnmappedGpaIntercept,
  },
  'gpa-intercept': {
    code: messageTypes.GPA_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...memoryLayout },
    size: memorySize,
    view: GpaIntercept,
  },
  'unaccepted-gpa': {
    code: messageTypes.UNACCEPTED_GPA,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...memoryLayout },
    size: memorySize,
    view: UnacceptedGpaIntercept,
  },
  'gpa-attribute': {
    code: messageTypes.GPA_ATTRIBUTE_INTERCEPT,
    comesOnce: false,
    layout: gpaAttributeLayout,
    size: gpaAttributeSize,
    view: GpaAttributeIntercept,
  },
  'invalid-vp-register-value': {
    code: messageTypes.INVALID_VP_REGISTER_VALUE,
    comesOnce: false,
    layout: invalidVpRegisterValueLayout,
    size: invalidVpRegisterValueSize,
    view: InvalidVpRegisterValue,
  },
  'unrecoverable-exception': {
    code: messageTypes.UNRECOVERABLE_EXCEPTION,
    comesOnce: false,
    layout: x64HeaderLayout,
    size: x64HeaderSize,
    view: UnrecoverableException,
  },
  'unsupported-feature': {
    code: messageTypes.UNSUPPORTED_FEATURE,
    comesOnce: false,
    layout: unsupportedFeatureLayout,
    size: unsupportedFeatureSize,
    view: UnsupportedFeature,
  },
  hypercall: {
    code: messageTypes.HYPERCALL_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...hypercallLayout },
    size: hypercallSize,
    view: HypercallIntercept,
  },
  'sint-deliverable': {
    code: messageTypes.SYNIC_SINT_DELIVERABLE,
    comesOnce: true,
    layout: { ...x64HeaderLayout, ...sintDeliverableLayout },
    size: sintDeliverableSize,
    view: SintDeliverable,
  },
  'io-port': {
    code: messageTypes.X64_IO_PORT_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...ioPortLayout },
    size: ioPortSize,
    view: IoPortIntercept,
  },
  msr: {
    code: messageTypes.X64_MSR_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...msrLayout },
    size: msrSize,
    view: MsrIntercept,
  },
  cpuid: {
    code: messageTypes.X64_CPUID_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...cpuidLayout },
    size: cpuidSize,
    view: CpuidIntercept,
  },
  exception: {
    code: messageTypes.X64_EXCEPTION_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...exceptionLayout },
    size: exceptionSize,
    view: ExceptionIntercept,
  },
  'apic-eoi': {
    code: messageTypes.X64_APIC_EOI,
    comesOnce: true,
    layout: apicEoiLayout,
    size: apicEoiSize,
    view: ApicEoi,
  },
  halt: {
    code: messageTypes.X64_HALT,
    comesOnce: false,
    layout: x64HeaderLayout,
    size: x64HeaderSize,
    view: HaltIntercept,
  },
  'interruption-deliverable': {
    code: messageTypes.X64_INTERRUPTION_DELIVERABLE,
    comesOnce: true,
    layout: { ...x64HeaderLayout, ...interruptionDeliverableLayout },
    size: interruptionDeliverableSize,
    view: InterruptionDeliverable,
  },
  sipi: {
    code: messageTypes.X64_SIPI_INTERCEPT,
    comesOnce: false,
    layout: { ...x64HeaderLayout, ...sipiLayout },
    size: sipiSize,
    view: SipiIntercept,
  },
  'sev-vmgexit': {
    code: messageTypes.X64_SEV_VMGEXIT_INTERCEPT,
    comesOnce: true,
    layout: { ...x64HeaderLayout, ...sevVmgexitLayout },
    size: sevVmgexitSize,
    view: SevVmgexitIntercept,
  },
} as const satisfies Record<string, MessageDefinition>;

/** The messages of arm64 alone, likewise. Codes that mean the same there have other payloads. */
export const arm64Messages = {
  'arm64-unmapped-gpa': {
    code: messageTypes.UNMAPPED_GPA,
    comesOnce: false,
    layout: { ...arm64HeaderLayout, ...arm64MemoryLayout },
    size: arm64MemorySize,
    view: Arm64UnmappedGpaIntercept,
  },
  'arm64-gpa-intercept': {
    code: messageTypes.GPA_INTERCEPT,
    comesOnce: false,
    layout: { ...arm64HeaderLayout, ...arm64MemoryLayout },
    size: arm64MemorySize,
    view: Arm64GpaIntercept,
  },
  'arm64-unaccepted-gpa': {
    code: messageTypes.UNACCEPTED_GPA,
    comesOnce: false,
    layout: { ...arm64HeaderLayout, ...arm64MemoryLayout },
    size: arm64MemorySize,
    view: Arm64UnacceptedGpaIntercept,
  },
  'arm64-reset': {
    code: messageTypes.ARM64_RESET_INTERCEPT,
    comesOnce: true,
    layout: { ...arm64HeaderLayout, ...arm64ResetLayout },
    size: arm64ResetSize,
    view: Arm64ResetIntercept,
  },
  'arm64-hypercall': {
    code: messageTypes.HYPERCALL_INTERCEPT,
    comesOnce: false,
    layout: { ...arm64HeaderLayout, ...arm64HypercallLayout },
    size: arm64HypercallSize,
    view: Arm64HypercallIntercept,
  },
  'arm64-sint-deliverable': {
    code: messageTypes.SYNIC_SINT_DELIVERABLE,
    comesOnce: true,
    layout: { ...arm64HeaderLayout, ...arm64SintDeliverableLayout },
    size: arm64SintDeliverableSize,
    view: Arm64SintDeliverable,
  },
} as const satisfies Record<string, MessageDefinition>;

/** All of them. */
export const allMessages = { ...commonMessages, ...x64Messages, ...arm64Messages } as const;

/**
 * The codes of the messages that come again where nobody was told of them. What the library does not know may come
 * once.
 */
export const comesAgain = Uint32Array.from(
  Object.values(allMessages).filter(({ comesOnce }) => !comesOnce),
  ({ code }) => code,
);
