import { createRequire } from 'node:module';

import { MshvError } from './errors.js';

/**
 * The addon as TypeScript sees it: flat functions over descriptors, numbers and typed arrays. Each
 * returns a value ≥ 0 or a negative errno and never throws for what the kernel refused.
 *
 * The addon checks types and ranges only as far as memory safety needs (`-EINVAL`); arguments are
 * validated, and errors are built, by the classes above this interface. A descriptor that the addon
 * did not hand out in this environment is `-EBADF`, without a system call.
 */
export interface Native {
  /** Opens the device node. Returns a descriptor. */
  open(path: string): number;
  /** Closes a descriptor; stops watching it first. */
  close(fd: number): number;
  /** Returns a new descriptor of the same file. */
  dup(fd: number): number;
  /** Gives up a descriptor without closing it and returns it: somebody else owns it from now on. */
  release(fd: number): number;

  /**
   * `MSHV_CREATE_PARTITION` with the 16-byte argument. Returns the partition descriptor. `-EINVAL` where
   * `flags` announces the longer one.
   */
  createPartition(device: number, flags: bigint, isolation: bigint): number;
  /**
   * `MSHV_CREATE_PARTITION` with the 64-byte argument; `flags` must have
   * `MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES`, or the driver reads the first 16 bytes only.
   */
  createPartitionV2(
    device: number,
    flags: bigint,
    isolation: bigint,
    cpuFeatureBank0: bigint,
    cpuFeatureBank1: bigint,
    disabledXsave: bigint,
  ): number;
  initializePartition(partition: number): number;
  /** Returns the VP descriptor. */
  createVp(partition: number, index: number): number;
  /** `resampleFd` is looked at only with the RESAMPLE flag. */
  irqfd(partition: number, eventFd: number, resampleFd: number, gsi: number, flags: number): number;
  /**
   * `MSHV_SET_MSI_ROUTING` straight from the caller's memory: word 0 is the number of entries, word 1
   * is 0, then four words an entry (GSI, address low, address high, data). `-EINVAL` where the array
   * is shorter than word 0 says.
   */
  setMsiRouting(partition: number, table: Uint32Array): number;

  eventfdCreate(initial: number, semaphore: boolean): number;
  /**
   * Takes ownership of `fd` and makes it non-blocking and close-on-exec. `-EBUSY` where this environment
   * owns it already.
   */
  eventfdAdopt(fd: number): number;
  /** Adds `n` (1 where absent) to the counter. */
  eventfdSignal(fd: number, n?: bigint): number;
  /** The consumed count as a bigint, or a negative errno as a number (`-EAGAIN`: nothing there). */
  eventfdRead(fd: number): bigint | number;
  /** 1 where the counter is not 0, else 0. Consumes nothing. */
  eventfdPoll(fd: number): number;

  /** Reads the eventfd whenever it becomes readable and hands over the count. `-EEXIST` where watched. */
  watch(fd: number, onCount: (count: bigint) => void): number;
  unwatch(fd: number): number;
  /** Whether watching `fd` keeps the event loop alive (it does at first). */
  holdLoop(fd: number, hold: boolean): number;
}

/** The extra exports of the simulator's addon: the guest's side and the controls of the fake driver. */
export interface SimNative extends Native {
  /** Returns the simulator's id; `open(\`sim:${id}\`)` opens its device. */
  simCreate(scheduler: number, fastInjection: boolean, v1Only: boolean): number;
  simDestroy(id: number): number;
  /** The id of the simulator that the partition belongs to. */
  simOf(partition: number): number;
  /** Returns once every signal sent before the call has been processed. */
  simSettle(id: number): number;
  /**
   * Moves up to `out.length / 4` recorded interrupts of the partition, oldest first, into `out` after
   * settling, and returns how many. Words of one: sequence number; vector | type << 8 | level << 16 |
   * logical << 17 | fast << 18; destination; time of injection (`CLOCK_MONOTONIC`, ns).
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
  /** How often the ioctl was issued on this simulator's descriptors, failures included. */
  simCalls(id: number, request: number): bigint | number;
  /**
   * Copies the driver's MSI routing table, ascending by GSI, as four words an entry (GSI, address low,
   * address high, data) and returns the number of entries.
   */
  simRoutes(partition: number, out: Uint32Array): number;
  /** Copies the armed irqfds, ascending by GSI, as two words each (GSI, flags). Returns their number. */
  simIrqFds(partition: number, out: Uint32Array): number;
  /** A description of the host crash that the real driver would have had by now, or ''. */
  simOops(id: number): string;
}

const require = createRequire(import.meta.url);
const bindings = require('bindings') as (name: string) => unknown;

function load(name: string): unknown {
  try {
    return bindings(name);
  } catch (error) {
    throw new MshvError(
      `cannot load the addon ${name}.node: build it with npm rebuild mshv (npm ci in a checkout)`,
      {
        code: 'ERR_MSHV_ADDON',
        cause: error,
      },
    );
  }
}

let linux: Native | undefined;
let sim: SimNative | undefined;

/**
 * The addon that ends in system calls. Loaded at first use.
 *
 * @throws MshvError `ERR_MSHV_ADDON` where it was not built, or for another platform
 */
export function linuxNative(): Native {
  return (linux ??= load('mshv') as Native);
}

/** The addon that ends in the simulated driver. Loaded, and failing, like the other one. */
export function simNative(): SimNative {
  return (sim ??= load('mshv_sim') as SimNative);
}
