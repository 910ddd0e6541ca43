import { messageTypes } from '../message-types.js';
import { cpuidLayout, cpuidSize, CpuidIntercept } from './cpuid-intercept.js';
import { hypercallLayout, hypercallSize, HypercallIntercept } from './hypercall-intercept.js';
import { ioPortLayout, ioPortSize, IoPortIntercept } from './io-port-intercept.js';
import type { Layout } from './layout.js';
import {
  GpaIntercept,
  memoryLayout,
  memorySize,
  UnacceptedGpaIntercept,
  UnmappedGpaIntercept,
} from './memory-intercept.js';
import type { Message } from './message.js';
import { msrLayout, msrSize, MsrIntercept } from './msr-intercept.js';
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
  /** How many bytes the payload has. */
  readonly size: number;
  readonly view: new (message: Uint8Array) => Message;
}

/** The messages of x64 by `type`. */
export const x64Messages = {
  'unmapped-gpa': {
    code: messageTypes.UNMAPPED_GPA,
    layout: memoryLayout,
    size: memorySize,
    view: UnmappedGpaIntercept,
  },
  'gpa-intercept': {
    code: messageTypes.GPA_INTERCEPT,
    layout: memoryLayout,
    size: memorySize,
    view: GpaIntercept,
  },
  'unaccepted-gpa': {
    code: messageTypes.UNACCEPTED_GPA,
    layout: memoryLayout,
    size: memorySize,
    view: UnacceptedGpaIntercept,
  },
  'unrecoverable-exception': {
    code: messageTypes.UNRECOVERABLE_EXCEPTION,
    layout: x64HeaderLayout,
    size: x64HeaderSize,
    view: UnrecoverableException,
  },
  hypercall: {
    code: messageTypes.HYPERCALL_INTERCEPT,
    layout: hypercallLayout,
    size: hypercallSize,
    view: HypercallIntercept,
  },
  'io-port': {
    code: messageTypes.X64_IO_PORT_INTERCEPT,
    layout: ioPortLayout,
    size: ioPortSize,
    view: IoPortIntercept,
  },
  msr: {
    code: messageTypes.X64_MSR_INTERCEPT,
    layout: msrLayout,
    size: msrSize,
    view: MsrIntercept,
  },
  cpuid: {
    code: messageTypes.X64_CPUID_INTERCEPT,
    layout: cpuidLayout,
    size: cpuidSize,
    view: CpuidIntercept,
  },
  halt: {
    code: messageTypes.X64_HALT,
    layout: x64HeaderLayout,
    size: x64HeaderSize,
    view: HaltIntercept,
  },
} as const satisfies Record<string, MessageDefinition>;
