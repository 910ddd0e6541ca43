import { encodeMessage } from '../lib/sim/encode-message.js';
import { HypercallIntercept } from '../lib/abi/messages/hypercall-intercept.js';
import type { HypercallMemory } from '../lib/synic/guest-hypercall.js';

/** `HvPostMessage`. */
export const postMessage = 0x5c;
/** `HvSignalEvent`. */
export const signalEvent = 0x5d;
/** `HvRetargetDeviceInterrupt`. */
export const retarget = 0x7e;

/** A hypercall as the guest's instruction leaves it. */
export interface HypercallInput {
  code: number;
  fast?: boolean;
  variableHeaderWords?: number;
  repCount?: number;
  repStart?: number;
  /** More bits of the control word. */
  control?: bigint;
  /** Where the input is, or the input itself where fast. */
  input?: bigint | Uint8Array;
  output?: bigint;
  bits?: 32 | 64;
  vtl?: number;
  vpIndex?: number;
}

/** The message of a hypercall with its input in registers of either convention. */
export function hypercallMessage({
  code,
  fast = false,
  variableHeaderWords = 0,
  repCount = 0,
  repStart = 0,
  control = 0n,
  input = 0n,
  output = 0n,
  bits = 64,
  vtl = 0,
  vpIndex = 0,
}: HypercallInput): Uint8Array {
  const word =
    BigInt(code) |
    (fast ? 1n << 16n : 0n) |
    (BigInt(variableHeaderWords) << 17n) |
    (BigInt(repCount) << 32n) |
    (BigInt(repStart) << 48n) |
    control;
  const registers = new DataView(new ArrayBuffer(112));
  if (input instanceof Uint8Array) {
    input.forEach((byte, i) => {
      registers.setUint8(i, byte);
    });
  } else {
    registers.setBigUint64(0, input, true);
    registers.setBigUint64(8, output, true);
  }
  const [first, second] = [registers.getBigUint64(0, true), registers.getBigUint64(8, true)];
  const common = {
    rip: 0x1000n,
    instructionLength: 3,
    vtl,
    vpIndex,
    cr0Pe: true,
    eferLma: bits === 64,
  };
  const xmm = [16, 32, 48, 64, 80, 96].map(
    (at) => (registers.getBigUint64(at + 8, true) << 64n) | registers.getBigUint64(at, true),
  );
  // What is above the low half is none of a 32-bit caller's registers.
  const low = (value: bigint): bigint => BigInt.asUintN(32, value) | (0xdeadn << 32n);
  return bits === 64
    ? encodeMessage('hypercall', { ...common, rcx: word, rdx: first, r8: second, xmm })
    : encodeMessage('hypercall', {
        ...common,
        rax: low(word),
        rdx: low(word >> 32n),
        rcx: low(first),
        rbx: low(first >> 32n),
        rsi: low(second),
        rdi: low(second >> 32n),
      });
}

/** The intercept of such a hypercall. */
export function hypercall(input: HypercallInput): HypercallIntercept {
  return new HypercallIntercept(hypercallMessage(input));
}

/** Guest memory from 0 to 64 KiB that counts how often it is read. */
export class SmallMemory implements HypercallMemory {
  readonly bytes = new Uint8Array(0x1_0000);
  reads = 0;

  read(gpa: bigint, into: Uint8Array): boolean {
    this.reads++;
    if (gpa + BigInt(into.length) > BigInt(this.bytes.length)) return false;
    into.set(this.bytes.subarray(Number(gpa), Number(gpa) + into.length));
    return true;
  }
}

/** The input of `HvPostMessage`. */
export function postMessageInput(
  connectionId: number,
  payload: Uint8Array,
  { type = 1, size = payload.length, reserved = 0 } = {},
): Uint8Array {
  const input = new Uint8Array(256);
  const view = new DataView(input.buffer);
  view.setUint32(0, connectionId, true);
  view.setUint32(4, reserved, true);
  view.setUint32(8, type, true);
  view.setUint32(12, size, true);
  input.set(payload, 16);
  return input;
}

/** The input of `HvSignalEvent`. */
export function signalEventInput(connectionId: number, flag: number, reserved = 0): Uint8Array {
  const input = new Uint8Array(8);
  const view = new DataView(input.buffer);
  view.setUint32(0, connectionId, true);
  view.setUint16(4, flag, true);
  view.setUint16(6, reserved, true);
  return input;
}

/**
 * The input of `HvRetargetDeviceInterrupt` for the MSI 0xfee01000, 0x4321 of device 0x112233445566, to have vector 0x51.
 *
 * @param header - the variable header
 */
export function retargetInput(
  {
    partitionId = 2n ** 64n - 1n,
    source = 1,
    reservedSource = 0,
    reserved = 0n,
    flags = 0,
    maskOrFormat = 0n,
  },
  ...header: bigint[]
): Uint8Array {
  const view = new DataView(new ArrayBuffer(56 + 8 * header.length));
  view.setBigUint64(0, partitionId, true);
  view.setBigUint64(8, 0x1122_3344_5566n, true);
  view.setUint32(16, source, true);
  view.setUint32(20, reservedSource, true);
  view.setUint32(24, 0xfee0_1000, true);
  view.setUint32(28, 0x4321, true);
  view.setBigUint64(32, reserved, true);
  view.setUint32(40, 0x51, true);
  view.setUint32(44, flags, true);
  view.setBigUint64(48, maskOrFormat, true);
  header.forEach((word, i) => {
    view.setBigUint64(56 + 8 * i, word, true);
  });
  return new Uint8Array(view.buffer);
}

/** What a handler is told of such an input of VP 0, but for its processors. */
export const retargetRequest = {
  vpIndex: 0,
  vtl: 0,
  partitionId: 2n ** 64n - 1n,
  deviceId: 0x1122_3344_5566n,
  msi: { address: 0xfee0_1000n, data: 0x4321 },
  vector: 0x51,
  multicast: false,
  proxyRedirect: false,
};
