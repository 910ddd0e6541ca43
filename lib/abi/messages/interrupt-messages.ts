import { defineFields } from './fields.js';
import { choice, type Layout, type PlainFields, u16, u32 } from './layout.js';
import { Message } from './message.js';
import { X64Intercept } from './x64-intercept.js';

/** `hv_x64_apic_eoi_message`. */
export const apicEoiLayout = {
  /** The VP that has ended the interrupt. */
  vpIndex: u32(0),
  /** Whose end it is: 0 to 255. */
  vector: u32(4),
} as const satisfies Layout;

export const apicEoiSize = 8;

/**
 * The guest ended an interrupt that wants to be told of. The driver keeps those of its resample eventfds for
 * itself (`mshv_intercept_isr`). Source: `hv_x64_apic_eoi_message` of Linux 7.2.
 */
export class ApicEoi extends Message {
  static {
    defineFields(this, apicEoiLayout);
  }

  readonly type = 'apic-eoi';

  constructor(message: Uint8Array) {
    super(message, apicEoiSize);
  }

  snapshot(): ApicEoi {
    return new ApicEoi(this.copy());
  }
}

export interface ApicEoi extends PlainFields<typeof apicEoiLayout> {}

/** `hv_notification_message_payload`. */
export const sintInterceptLayout = {
  /** 0 to 15. */
  sint: u32(0),
} as const satisfies Layout;

export const sintInterceptSize = 4;

/**
 * A synthetic interrupt that is configured to be intercepted. Source: `hv_notification_message_payload` of
 * Linux 7.2.
 */
export class SintIntercept extends Message {
  static {
    defineFields(this, sintInterceptLayout);
  }

  readonly type = 'sint-intercept';

  constructor(message: Uint8Array) {
    super(message, sintInterceptSize);
  }

  snapshot(): SintIntercept {
    return new SintIntercept(this.copy());
  }
}

export interface SintIntercept extends PlainFields<typeof sintInterceptLayout> {}

/** `hv_x64_sint_deliverable_message`. */
export const sintDeliverableLayout = {
  /** Bit n: SINT n. */
  deliverableSints: u16(40),
} as const satisfies Layout;

export const sintDeliverableSize = 48;

/**
 * The message slots of SINTs are free again, as was asked by `DELIVERABILITY_NOTIFICATIONS`. Source:
 * `hv_x64_sint_deliverable_message` of rust-vmm/mshv.
 */
export class SintDeliverable extends X64Intercept {
  static {
    defineFields(this, sintDeliverableLayout);
  }

  readonly type = 'sint-deliverable';

  constructor(message: Uint8Array) {
    super(message, sintDeliverableSize);
  }

  snapshot(): SintDeliverable {
    return new SintDeliverable(this.copy());
  }
}

export interface SintDeliverable extends PlainFields<typeof sintDeliverableLayout> {}

/** What can be delivered to a VP, by code. Source: `HV_X64_PENDING_*` of rust-vmm/mshv. */
export const interruptionTypes = [
  'interrupt',
  undefined,
  'nmi',
  'exception',
  'software-interrupt',
  'privileged-software-exception',
  'software-exception',
] as const;

/** What a VP can take again. */
export type InterruptionType = Exclude<(typeof interruptionTypes)[number], undefined>;

/** `hv_x64_interruption_deliverable_message`. */
export const interruptionDeliverableLayout = {
  /** A number where the hypervisor's code has no name. */
  deliverableType: choice(40, 32, interruptionTypes),
} as const satisfies Layout;

export const interruptionDeliverableSize = 48;

/**
 * The VP can take an interrupt or NMI again, as was asked by `DELIVERABILITY_NOTIFICATIONS`. Source:
 * `hv_x64_interruption_deliverable_message` of rust-vmm/mshv.
 */
export class InterruptionDeliverable extends X64Intercept {
  static {
    defineFields(this, interruptionDeliverableLayout);
  }

  readonly type = 'interruption-deliverable';

  constructor(message: Uint8Array) {
    super(message, interruptionDeliverableSize);
  }

  snapshot(): InterruptionDeliverable {
    return new InterruptionDeliverable(this.copy());
  }
}

export interface InterruptionDeliverable extends PlainFields<
  typeof interruptionDeliverableLayout
> {}

/** `hv_x64_sipi_intercept_message`. */
export const sipiLayout = {
  /** The VP that is to start. */
  targetVpIndex: u32(40),
  /** The page that the target starts at: its address divided by 4096. */
  vector: u32(44),
} as const satisfies Layout;

export const sipiSize = 48;

/** The guest sends a start-up interrupt. Source: `hv_x64_sipi_intercept_message` of rust-vmm/mshv. */
export class SipiIntercept extends X64Intercept {
  static {
    defineFields(this, sipiLayout);
  }

  readonly type = 'sipi';

  constructor(message: Uint8Array) {
    super(message, sipiSize);
  }

  snapshot(): SipiIntercept {
    return new SipiIntercept(this.copy());
  }
}

export interface SipiIntercept extends PlainFields<typeof sipiLayout> {}
