import { nativeOfAddon, type Native } from '../native.js';

/** The extra exports of the simulator's addon: the guest's side and the controls of the fake driver. */
export interface SimNative extends Native {
  /** Returns the simulator's id; `open(\`sim:${id}\`)` opens its device. What is left out is true. */
  simCreate(
    scheduler: number,
    fastInjection: boolean,
    v1Only: boolean,
    registerPage?: boolean,
    depositsInside?: boolean,
    /** As `architecture()` has it. What is left out is x64. */
    architecture?: number,
  ): number;
  simDestroy(id: number): number;
  /** The id of the simulator that the partition belongs to. */
  simOf(partition: number): number;
  /** Returns once every signal sent before the call has been processed. */
  simSettle(id: number): number;
  /**
   * Moves up to `out.length / 4` recorded interrupts of the partition, oldest first, into `out` after
   * settling, and returns how many. Words of one: sequence number; vector | type << 32 | level << 48 |
   * logical << 49 | fast << 50 | (index of the VP + 1, 0 where none) << 51; destination; time of injection (`CLOCK_MONOTONIC`, ns).
   *
   * The newest 2^18 are kept. Where others were dropped, one call returns 1 and says how many: words 0, number.
   */
  simInterrupts(partition: number, out: BigUint64Array): number;
  /**
   * Adds 1 to the eventfd for every interrupt recorded from now on, and once when the partition or the
   * simulator ends.
   */
  simListen(partition: number, eventFd: number): number;
  /**
   * Returns the number of resample eventfds that the driver signalled, plus 65536 for each of them
   * whose route is EXTINT: the driver clears the virtual interrupt then.
   */
  simEndOfInterrupt(partition: number, vp: number, vector: number): number;
  /**
   * Lets `after` calls of the ioctl pass, then fails `count` of them with `errno` before any effect.
   * Replaces what an earlier call for this ioctl has left.
   */
  simFailNext(id: number, request: number, errno: number, after: number, count: number): number;
  /**
   * Counts the system calls that this thread makes from now on, and the first ones of threads that it starts: lets
   * `after` pass, then fails one with `errno`, none where that is 0. Replaces what was planned before.
   */
  simFailSystemCall(errno: number, after: number): number;
  /** Ends that. The names of the calls since, an ioctl's being its request's number, with a space after each. */
  simSystemCalls(): string;
  /** How often the ioctl was issued on this simulator's descriptors, failures included. */
  simCalls(id: number, request: number): bigint | number;
  /**
   * Copies the driver's MSI routing table, ascending by GSI, as four words an entry (GSI, address low,
   * address high, data) and returns the number of entries.
   */
  simRoutes(partition: number, out: Uint32Array): number;
  /** Copies the armed irqfds, ascending by GSI, as two words each (GSI, flags). Returns their number. */
  simIrqFds(partition: number, out: Uint32Array): number;
  /** Queues an intercept message of up to 256 bytes for a VP: `MSHV_RUN_VP` returns it. */
  simQueueMessage(partition: number, vp: number, message: Uint8Array): number;
  /**
   * Lets a VP's guest do something when it runs, after what was queued before. It exits, as a processor would,
   * with what its registers hold then, or goes on by itself. All steps are queued, or none. Each is five words, its kind and
   * four operands: 1 IN or OUT (port, size, 1 for OUT, value); 2 RDMSR or WRMSR (MSR, 1 for WRMSR,
   * value); 3 CPUID (EAX, ECX); 4 a hypercall (RCX, RDX, R8; on arm64 the immediate of HVC, X0, X1, X2); 5 a memory access
   * (GPA, size, 1 for a write, value); 6 HLT; 7 a triple fault; on arm64 8 a register set by hypercall (name, value), 9 a reset
   * (type, code). `-EINVAL` for what the guest's architecture does not have.
   */
  simGuestSteps(partition: number, vp: number, steps: BigUint64Array): number;
  /** How much of what was queued for a VP is not over. */
  simPendingSteps(partition: number, vp: number): number;
  /**
   * The guest reads or writes memory by physical address, which sets the pages' accessed and dirty bits. `-ENXIO`
   * where no memory is mapped, `-EACCES` where it may not. Nothing is transferred then. The pages of the VPs' SynICs are in front
   * of memory.
   */
  simGuestAccess(partition: number, gpa: bigint, bytes: Uint8Array, write: boolean): number;
  /** The guest writes `size` bytes of MMIO: returns the number of doorbells rung. */
  simWriteMmio(partition: number, gpa: bigint, size: number, value: bigint): number;
  /**
   * Lets `after` hypercalls of a code pass, then has the hypervisor refuse `count` of them with a status,
   * having completed `reps` reps of each.
   */
  simRefuse(
    id: number,
    code: number,
    status: number,
    after: number,
    count: number,
    reps: number,
  ): number;
  /** Copies the doorbells as four words each (GPA, size, 1 for a wildcard, match). Returns their number. */
  simDoorbells(partition: number, out: BigUint64Array): number;
  /** Copies the memory mappings, ascending, as four words each (page number, pages, flags, pages paged in). */
  simMemory(partition: number, out: BigUint64Array): number;
  /** Copies the installed intercepts as three words each (type, access mask, parameter). */
  simIntercepts(partition: number, out: BigUint64Array): number;
  /** Copies the registered intercept results as eight words each (VP, type, 44 bytes of parameters). */
  simInterceptResults(partition: number, out: BigUint64Array): number;
  /** A description of the host crash that the real driver would have had by now, or ''; `-ENOENT` where the machine is gone. */
  simOops(id: number): string | number;
}

/**
 * The addon that ends in the simulated driver. Loaded at first use.
 *
 * @throws MshvError `ERR_MSHV_ADDON`, as `linuxNative()` does
 */
export function simNative(): SimNative {
  return nativeOfAddon('mshv_sim') as SimNative;
}
