/**
 * What `MSHV_GET_VP_STATE` and `MSHV_SET_VP_STATE` transfer: the kernel's `MSHV_VP_STATE_*`. Source: Linux 7.2
 * `linux/mshv.h`.
 */
export const vpStateTypes = {
  /** `lapicStateFields`, in a page. */
  lapic: 0,
  /** The XSAVE area in compacted format, as long as the property `MAX_XSAVE_DATA_SIZE` says. */
  xsave: 1,
  /** The SynIC message page. */
  simp: 2,
  /** The SynIC event flags page. */
  siefp: 3,
  /** `syntheticTimersLayout`. */
  'synthetic-timers': 4,
} as const;

/** A part of a VP's state that `getState()` and `setState()` know. */
export type VpStateType = keyof typeof vpStateTypes;

/**
 * How many bytes each state has; undefined where the hypervisor decides. Source:
 * `mshv_vp_ioctl_get_set_state`.
 */
export const vpStateSizes: Readonly<Record<VpStateType, number | undefined>> = {
  lapic: 4096,
  xsave: undefined,
  simp: 4096,
  siefp: 4096,
  'synthetic-timers': 200,
};

/** Where the synthetic timers' state has what, in bytes. Source: `hv_synthetic_timers_state` of Linux 7.2. */
export const syntheticTimersLayout = {
  size: 200,
  timers: 4,
  /** From one timer to the next. */
  stride: 40,
  /** Of one timer, from its start: a 32-bit word, of which bit 0 is an undelivered message, and 64-bit words. */
  fields: { flags: 0, config: 8, count: 16, adjustment: 24, undelivered_exp_time: 32 },
} as const;

/**
 * Where the local APIC's state has what, in bytes from its start: 32-bit words, ISR, TMR and IRR eight of
 * them each. Source: `hv_local_interrupt_controller_state` of rust-vmm/mshv.
 */
export const lapicStateFields = {
  apic_id: 0,
  apic_version: 4,
  apic_ldr: 8,
  apic_dfr: 12,
  apic_spurious: 16,
  apic_isr: 20,
  apic_tmr: 52,
  apic_irr: 84,
  apic_esr: 116,
  apic_icr_high: 120,
  apic_icr_low: 124,
  apic_lvt_timer: 128,
  apic_lvt_thermal: 132,
  apic_lvt_perfmon: 136,
  apic_lvt_lint0: 140,
  apic_lvt_lint1: 144,
  apic_lvt_error: 148,
  apic_lvt_cmci: 152,
  apic_error_status: 156,
  apic_initial_count: 160,
  apic_counter_value: 164,
  apic_divide_configuration: 168,
  apic_remote_read: 172,
} as const;

/** How many bytes of the local APIC's page have a meaning. */
export const lapicStateSize = 176;
