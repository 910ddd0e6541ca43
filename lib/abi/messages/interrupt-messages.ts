import { choice, u16, u32, type Fields, type Layout } from './layout.js';
import { Message } from './message.js';
import { X64Intercept, x64HeaderLayout } from './x64-intercept.js';

/** `hv_x64_apic_eoi_message`. */
export const apicEoiLayout = {
  vpIndex: u32(0),
  vector: u32(4),
} as const satisfies Layout;

export const apicEoiSize = 8;

/**
 * The guest ended an interrupt that wants to be told of. The driver keeps those of its resample eventfds for
 * itself (`mshv_intercept_isr`). Source: `hv_x64_apic_eoi_message` of Linux 7.2.
 */
export class ApicEoi extends Message implements Fields<typeof apicEoiLayout> {
  readonly type = 'apic-eoi';

  constructor(message: Uint8Array) {
    super(message, Object.keys(apicEoiLayout), apicEoiSize);
  }

  get vpIndex(): number {
    return this.view.getUint32(0, true);
  }

  get vector(): number {
    return this.view.getUint32(4, true);
  }

  snapshot(): ApicEoi {
    return new ApicEoi(this.copy());
  }
}

/** `hv_notification_message_payload`. */
export const sintInterceptLayout = {
  sint: u32(0),
} as const satisfies Layout;

export const sintInterceptSize = 4;

/**
 * A synthetic interrupt that is configured to be intercepted. Source: `hv_notification_message_payload` of
 * Linux 7.2.
 */
export class SintIntercept extends Message implements Fields<typeof sintInterceptLayout> {
  readonly type = 'sint-intercept';

  constructor(message: Uint8Array) {
    super(message, Object.keys(sintInterceptLayout), sintInterceptSize);
  }

  /** 0 to 15. */
  get sint(): number {
    return this.view.getUint32(0, true);
  }

  snapshot(): SintIntercept {
    return new SintIntercept(this.copy());
  }
}

/** `hv_x64_sint_deliverable_message`. */
export const sintDeliverableLayout = {
  ...x64HeaderLayout,
  deliverableSints: u16(40),
} as const satisfies Layout;

export const sintDeliverableSize = 48;

/**
 * The message slots of SINTs are free again, as was asked by `DELIVERABILITY_NOTIFICATIONS`. Source:
 * `hv_x64_sint_deliverable_message` of rust-vmm/mshv.
 */
export class SintDeliverable extends X64Intercept implements Fields<typeof sintDeliverableLayout> {
  readonly type = 'sint-deliverable';

  constructor(message: Uint8Array) {
    super(message, Object.keys(sintDeliverableLayout), sintDeliverableSize);
  }

  /** Bit n: SINT n. */
  get deliverableSints(): number {
    return this.view.getUint16(40, true);
  }

  snapshot(): SintDeliverable {
    return new SintDeliverable(this.copy());
  }
}

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

export type InterruptionType = Exclude<(typeof interruptionTypes)[number], undefined>;

/** `hv_x64_interruption_deliverable_message`. */
export const interruptionDeliverableLayout = {
  ...x64HeaderLayout,
  deliverableType: choice(40, 32, interruptionTypes),
} as const satisfies Layout;

export const interruptionDeliverableSize = 48;

/**
 * The VP can take an interrupt or NMI again, as was asked by `DELIVERABILITY_NOTIFICATIONS`. Source:
 * `hv_x64_interruption_deliverable_message` of rust-vmm/mshv.
 */
export class InterruptionDeliverable
  extends X64Intercept
  implements Fields<typeof interruptionDeliverableLayout>
{
  readonly type = 'interruption-deliverable';

  constructor(message: Uint8Array) {
    super(message, Object.keys(interruptionDeliverableLayout), interruptionDeliverableSize);
  }

  /** A number where the hypervisor's code has no name. */
  get deliverableType(): InterruptionType | number {
    const code = this.view.getUint32(40, true);
    return interruptionTypes[code] ?? code;
  }

  snapshot(): InterruptionDeliverable {
    return new InterruptionDeliverable(this.copy());
  }
}

/** `hv_x64_sipi_intercept_message`. */
export const sipiLayout = {
  ...x64HeaderLayout,
  targetVpIndex: u32(40),
  vector: u32(44),
} as const satisfies Layout;

export const sipiSize = 48;

/** The guest sends a start-up interrupt. Source: `hv_x64_sipi_intercept_message` of rust-vmm/mshv. */
export class SipiIntercept extends X64Intercept implements Fields<typeof sipiLayout> {
  readonly type = 'sipi';

  constructor(message: Uint8Array) {
    super(message, Object.keys(sipiLayout), sipiSize);
  }

  get targetVpIndex(): number {
    return this.view.getUint32(40, true);
  }

  /** The page that the target starts at: its address divided by 4096. */
  get vector(): number {
    return this.view.getUint32(44, true);
  }

  snapshot(): SipiIntercept {
    return new SipiIntercept(this.copy());
  }
}
