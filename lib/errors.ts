import { errnoCode, type ErrnoCode } from './errno.js';
import type { MshvErrorCode } from './error-codes.js';

/** A status that the hypervisor returned: `{ code: 0x12, name: 'HV_STATUS_INVALID_CONNECTION_ID' }`. */
export interface HvStatus {
  /** The number, as the TLFS has it. */
  readonly code: number;
  /** Its name; undefined where `hvStatusCodes` has none. */
  readonly name: string;
}

/** What is known of a failure beyond its message: the fields of the MshvError. */
export interface MshvErrorDetails {
  /** As `MshvError.code`. */
  code: MshvErrorCode | ErrnoCode;
  /** As `MshvError.errno`. */
  errno?: number;
  /** As `MshvError.syscall`. */
  syscall?: string;
  /** As `MshvError.ioctl`. */
  ioctl?: string;
  /** As `MshvError.hypercall`. */
  hypercall?: string;
  /** As `MshvError.hvStatus`. */
  hvStatus?: HvStatus;
  /** As `MshvError.repsCompleted`. */
  repsCompleted?: number;
  /** As `MshvError.connectionId`. */
  connectionId?: number;
  /** As `MshvError.suppressed`. */
  suppressed?: number;
  /** As `MshvError.lost`. */
  lost?: number;
  /** What it came of: `Error.cause`. */
  cause?: unknown;
}

/** What an error has only where it is known: a field that is absent is none of the object's, and not printed. */
const optionalFields = [
  'errno',
  'syscall',
  'ioctl',
  'hypercall',
  'hvStatus',
  'repsCompleted',
  'connectionId',
  'suppressed',
  'lost',
] as const satisfies readonly (keyof MshvErrorDetails)[];

/**
 * What the kernel, the driver or the state of an object refused. docs/errors.md has all codes.
 *
 * Arguments that can be judged without the kernel are not reported with this class but as `TypeError`
 * (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`) or `RangeError` (`ERR_OUT_OF_RANGE`), before any system call.
 *
 * @example
 * ```ts
 * import { MshvError } from 'mshv';
 *
 * simulator.failNext('MSHV_SET_MSI_ROUTING', 'ENOMEM');
 * try {
 *   route.setMsi(0xfee00000, 0x42);
 * } catch (error) {
 *   if (!(error instanceof MshvError)) throw error;
 *   console.log(error.code, error.syscall, error.ioctl); // ENOMEM ioctl MSHV_SET_MSI_ROUTING
 * }
 * ```
 */
export class MshvError extends Error {
  readonly #isOne = true;
  /** `'EINVAL'` and the like where a system call failed, `'ERR_MSHV_…'` for misuse of this library. */
  readonly code: MshvErrorCode | ErrnoCode;
  /** The negative errno, as libuv has it; absent where there is none. */
  declare readonly errno?: number;
  /**
   * The step that failed, and not the function around it: `'ioctl'`, `'open'`, `'memfd_create'`, `'timer_create'`,
   * `'uv_async_init'`, …; absent where no system call failed.
   */
  declare readonly syscall?: string;
  /** The request of a failed ioctl, such as `'MSHV_SET_MSI_ROUTING'`. */
  declare readonly ioctl?: string;
  /** The call that the hypervisor refused, such as `'HVCALL_ASSERT_VIRTUAL_INTERRUPT'`. */
  declare readonly hypercall?: string;
  /** What the hypervisor refused it with. */
  declare readonly hvStatus?: HvStatus;
  /** How many elements of a hypercall's list were done before it failed. */
  declare readonly repsCompleted?: number;
  /** The connection id that a port has already: of `ERR_MSHV_CONNECTION_ID_IN_USE`. */
  declare readonly connectionId?: number;
  /** How many failures were not reported: of `ERR_MSHV_SUPPRESSED`, see `FailureListener`. */
  declare readonly suppressed?: number;
  /** How many interrupts nobody can get any more: of `ERR_MSHV_INTERRUPTS_LOST`, see `Simulator.interrupts`. */
  declare readonly lost?: number;

  constructor(message: string, details: MshvErrorDetails) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = details.code;
    for (const field of optionalFields) {
      if (details[field] !== undefined) {
        Object.assign(this, { [field]: details[field] });
      }
    }
  }

  static {
    // On the prototype, as for built-in errors: an own property would be printed with each instance.
    Object.defineProperty(MshvError.prototype, 'name', {
      value: 'MshvError',
      configurable: true,
      writable: true,
    });
    // What handlers throw may be a revoked proxy, for which `instanceof` throws where nothing else is said.
    Object.defineProperty(MshvError, Symbol.hasInstance, {
      configurable: true,
      value(this: typeof MshvError, value: unknown) {
        return (
          typeof value === 'object' &&
          value !== null &&
          #isOne in value &&
          Object.prototype.isPrototypeOf.call(this.prototype, value)
        );
      },
    });
  }
}

/** Which step failed: an ioctl by its name, any other call by its own. */
export type SystemCall = { ioctl: string } | { syscall: string };

/**
 * The error for a system call that returned the negative errno `result`.
 *
 * @param attempt - what was being done, in the caller's terms: `'arm irqfd for GSI 17'`
 * @param call - undefined where there was no call yet
 * @param hint - what the errno means here and what to do about it
 */
export function systemError(
  attempt: string,
  result: number,
  call: SystemCall | undefined,
  hint?: string,
): MshvError {
  const code = errnoCode(result);
  const fields =
    call === undefined ? {} : 'ioctl' in call ? { syscall: 'ioctl', ioctl: call.ioctl } : call;
  const step = call === undefined ? '' : ` (${'ioctl' in call ? call.ioctl : call.syscall})`;
  const why = hint === undefined ? '' : `: ${hint}`;
  return new MshvError(`cannot ${attempt}: ${code}${step}${why}`, {
    code,
    errno: result,
    ...fields,
  });
}

/** The error for any use of an object after its `close()`. */
export function closedError(what: string): MshvError {
  return new MshvError(`${what} is closed`, { code: 'ERR_MSHV_CLOSED' });
}

/** What is asked for is not there on the partition's architecture. */
export function architectureError(attempt: string, reason: string): MshvError {
  return new MshvError(`cannot ${attempt}: ${reason}`, { code: 'ERR_MSHV_ARCHITECTURE' });
}

/** Whether an error says that what it was about is closed. */
export function isClosedError(error: unknown): boolean {
  return error instanceof MshvError && error.code === 'ERR_MSHV_CLOSED';
}
