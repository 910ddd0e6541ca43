import { defineFields } from './fields.js';
import { choice, type Layout, type PlainFields, u32, u64 } from './layout.js';
import { Message } from './message.js';

/** `hv_timer_message_payload`. */
export const timerExpiredLayout = {
  /** 0 to 3. */
  timerIndex: u32(0),
  /** When the timer expired, in reference time: units of 100 ns. */
  expirationTime: u64(8),
  /** When the message was delivered, likewise. */
  deliveryTime: u64(16),
} as const satisfies Layout;

export const timerExpiredSize = 24;

/** A synthetic timer expired. Source: `hv_timer_message_payload` of Linux 7.2. */
export class TimerExpired extends Message {
  static {
    defineFields(this, timerExpiredLayout);
  }

  readonly type = 'timer-expired';

  constructor(message: Uint8Array) {
    super(message, timerExpiredSize);
  }

  snapshot(): TimerExpired {
    return new TimerExpired(this.copy());
  }
}

export interface TimerExpired extends PlainFields<typeof timerExpiredLayout> {}

/** `hv_x64_invalid_vp_register_message`. */
export const invalidVpRegisterValueLayout = {
  /** The VP that stopped. */
  vpIndex: u32(0),
} as const satisfies Layout;

export const invalidVpRegisterValueSize = 8;

/**
 * The VP cannot run: a register was set to what the processor does not take. Source:
 * `hv_x64_invalid_vp_register_message` of rust-vmm/mshv.
 */
export class InvalidVpRegisterValue extends Message {
  static {
    defineFields(this, invalidVpRegisterValueLayout);
  }

  readonly type = 'invalid-vp-register-value';

  constructor(message: Uint8Array) {
    super(message, invalidVpRegisterValueSize);
  }

  snapshot(): InvalidVpRegisterValue {
    return new InvalidVpRegisterValue(this.copy());
  }
}

export interface InvalidVpRegisterValue extends PlainFields<typeof invalidVpRegisterValueLayout> {}

/** Features by code. Source: `HV_UNSUPPORTED_FEATURE_*` of rust-vmm/mshv. */
export const unsupportedFeatures = [undefined, 'intercept', 'task-switch-tss'] as const;

/** What a guest used that the hypervisor does not support. */
export type UnsupportedFeatureName = Exclude<(typeof unsupportedFeatures)[number], undefined>;

/** `hv_x64_unsupported_feature_message`. */
export const unsupportedFeatureLayout = {
  /** The VP that stopped. */
  vpIndex: u32(0),
  /** A number where the hypervisor's code has no name. */
  feature: choice(4, 32, unsupportedFeatures),
  /** What of the feature, by its code. */
  parameter: u64(8),
} as const satisfies Layout;

export const unsupportedFeatureSize = 16;

/**
 * The guest uses what the hypervisor does not support. Source: `hv_x64_unsupported_feature_message` of
 * rust-vmm/mshv.
 */
export class UnsupportedFeature extends Message {
  static {
    defineFields(this, unsupportedFeatureLayout);
  }

  readonly type = 'unsupported-feature';

  constructor(message: Uint8Array) {
    super(message, unsupportedFeatureSize);
  }

  snapshot(): UnsupportedFeature {
    return new UnsupportedFeature(this.copy());
  }
}

export interface UnsupportedFeature extends PlainFields<typeof unsupportedFeatureLayout> {}

/** `hv_opaque_intercept_message`. */
export const opaqueLayout = {
  /** The VP that stopped. */
  vpIndex: u32(0),
} as const satisfies Layout;

export const opaqueSize = 4;

/**
 * A VP stopped; what with is in its intercept message page. The driver handles this itself
 * (`mshv_run_vp_with_hyp_scheduler`). Source: `hv_opaque_intercept_message` of Linux 7.2.
 */
export class OpaqueIntercept extends Message {
  static {
    defineFields(this, opaqueLayout);
  }

  readonly type = 'opaque';

  constructor(message: Uint8Array) {
    super(message, opaqueSize);
  }

  snapshot(): OpaqueIntercept {
    return new OpaqueIntercept(this.copy());
  }
}

export interface OpaqueIntercept extends PlainFields<typeof opaqueLayout> {}

/** `hv_async_completion_message_payload`. */
export const asyncCallCompletionLayout = {
  /** The partition that it was called for. */
  partitionId: u64(0),
  /** An HV status. */
  status: u32(8),
  /** How many calls it stands for. */
  completionCount: u32(12),
  /** More of the status, by the call. */
  subStatus: u64(16),
} as const satisfies Layout;

export const asyncCallCompletionSize = 24;

/**
 * A hypercall that was answered with `HV_STATUS_CALL_PENDING` completed. Source:
 * `hv_async_completion_message_payload` of Linux 7.2.
 */
export class AsyncCallCompletion extends Message {
  static {
    defineFields(this, asyncCallCompletionLayout);
  }

  readonly type = 'async-call-completion';

  constructor(message: Uint8Array) {
    super(message, asyncCallCompletionSize);
  }

  snapshot(): AsyncCallCompletion {
    return new AsyncCallCompletion(this.copy());
  }
}

export interface AsyncCallCompletion extends PlainFields<typeof asyncCallCompletionLayout> {}
