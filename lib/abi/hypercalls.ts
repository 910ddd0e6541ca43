/** Where a hypercall's input and output lie, and which descriptors pass it through. All sizes are bytes. */
export interface HypercallLayout {
  readonly code: number;
  /** A simple call does one thing; a rep call does one thing for each element of a list. */
  readonly kind: 'simple' | 'rep';
  /** Whether `/dev/mshv` itself passes the call through, for the host's own partition. */
  readonly device: boolean;
  /** Whether a VP descriptor does. A partition descriptor always does. */
  readonly vp: boolean;
  /** The fixed part of the input, partition id included. */
  readonly input: number;
  /** One element of a rep call's input list, which follows the fixed part; 0 where there is none. */
  readonly repInput: number;
  /** The output of a simple call; 0 where there is none. */
  readonly output: number;
  /** One element of a rep call's output list; 0 where there is none. */
  readonly repOutput: number;
}

/**
 * The hypercalls that `MSHV_ROOT_HVCALL` passes through; any other code is `EINVAL`
 * (`mshv_ioctl_passthru_hvcall`). Source: Linux 7.2 `hyperv/hvgdk_mini.h`, `hyperv/hvhdk.h` and, for the inputs
 * that Linux does not declare, `hv-headers` of rust-vmm/mshv.
 */
export const hypercalls = {
  HVCALL_GET_PARTITION_PROPERTY: {
    code: 0x44,
    kind: 'simple',
    device: true,
    vp: true,
    input: 16,
    repInput: 0,
    output: 8,
    repOutput: 0,
  },
  /** The driver waits for its completion and takes it on a partition descriptor only. */
  HVCALL_SET_PARTITION_PROPERTY: {
    code: 0x45,
    kind: 'simple',
    device: false,
    vp: false,
    input: 24,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  HVCALL_INSTALL_INTERCEPT: {
    code: 0x4d,
    kind: 'simple',
    device: false,
    vp: true,
    input: 24,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  HVCALL_GET_VP_REGISTERS: {
    code: 0x50,
    kind: 'rep',
    device: false,
    vp: true,
    input: 16,
    repInput: 4,
    output: 0,
    repOutput: 16,
  },
  HVCALL_SET_VP_REGISTERS: {
    code: 0x51,
    kind: 'rep',
    device: false,
    vp: true,
    input: 16,
    repInput: 32,
    output: 0,
    repOutput: 0,
  },
  HVCALL_TRANSLATE_VIRTUAL_ADDRESS: {
    code: 0x52,
    kind: 'simple',
    device: false,
    vp: true,
    input: 32,
    repInput: 0,
    output: 16,
    repOutput: 0,
  },
  HVCALL_CLEAR_VIRTUAL_INTERRUPT: {
    code: 0x56,
    kind: 'simple',
    device: false,
    vp: true,
    input: 8,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  HVCALL_REGISTER_INTERCEPT_RESULT: {
    code: 0x91,
    kind: 'simple',
    device: false,
    vp: true,
    input: 60,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  HVCALL_ASSERT_VIRTUAL_INTERRUPT: {
    code: 0x94,
    kind: 'simple',
    device: false,
    vp: true,
    input: 32,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  HVCALL_SIGNAL_EVENT_DIRECT: {
    code: 0xc0,
    kind: 'simple',
    device: false,
    vp: true,
    input: 16,
    repInput: 0,
    output: 8,
    repOutput: 0,
  },
  HVCALL_POST_MESSAGE_DIRECT: {
    code: 0xc1,
    kind: 'simple',
    device: false,
    vp: true,
    input: 280,
    repInput: 0,
    output: 0,
    repOutput: 0,
  },
  /** The list is of consecutive pages, so the input has their number only, as the rep count. */
  HVCALL_GET_GPA_PAGES_ACCESS_STATES: {
    code: 0xc9,
    kind: 'rep',
    device: false,
    vp: true,
    input: 24,
    repInput: 0,
    output: 0,
    repOutput: 1,
  },
  HVCALL_GET_VP_CPUID_VALUES: {
    code: 0xf4,
    kind: 'rep',
    device: false,
    vp: true,
    input: 24,
    repInput: 24,
    output: 0,
    repOutput: 16,
  },
  HVCALL_GET_PARTITION_PROPERTY_EX: {
    code: 0x101,
    kind: 'simple',
    device: true,
    vp: true,
    input: 24,
    repInput: 0,
    output: 4072,
    repOutput: 0,
  },
} as const satisfies Record<string, HypercallLayout>;

/** The name of a hypercall that the driver passes through. */
export type HypercallName = keyof typeof hypercalls;

/** What the driver takes at most for an input, and for an output: `MSHV_HV_PAGE_SIZE`. */
export const hypercallPageSize = 4096;

/** The largest rep count: the hypercall's control word has 12 bits for it (TLFS, "Hypercall Inputs"). */
export const largestRepCount = 0xfff;

/** The reps of a rep call that one input and one output page hold: at least 1. */
export function repsPerPage(layout: HypercallLayout): number {
  const { input, repInput, repOutput } = layout;
  const fit = (room: number, size: number): number =>
    size === 0 ? largestRepCount : Math.floor(room / size);
  return Math.min(
    largestRepCount,
    fit(hypercallPageSize - input, repInput),
    fit(hypercallPageSize, repOutput),
  );
}

const names = new Map(
  Object.entries(hypercalls).map(([name, { code }]) => [code as number, name as HypercallName]),
);

/** The name of a hypercall code, or undefined where the driver does not pass it through. */
export function hypercallName(code: number): HypercallName | undefined {
  return names.get(code);
}
