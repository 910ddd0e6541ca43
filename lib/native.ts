import { isObject, typeError } from './arguments.js';
import { loadAddon } from './load-addon.js';
import { optional, takeOptions, type OptionTable } from './options.js';

/**
 * The addon as TypeScript sees it: flat functions over descriptors, numbers and typed arrays. Each
 * returns a value ≥ 0 or a negative errno and never throws for what the kernel refused.
 *
 * The addon checks types and ranges only as far as memory safety needs (`-EINVAL`); arguments are
 * validated, and errors are built, by the classes above this interface. A descriptor that the addon
 * did not hand out in this environment is `-EBADF`, without a system call.
 */
export interface Native {
  /**
   * Which step of the function called before this one has failed, in this environment: a system call, or a function of libuv, of
   * POSIX threads or of Node-API, by its name; an ioctl by its request's number; `''` where the addon refused by itself.
   */
  failedStep(): string | number;

  /** Opens the device node. Returns a descriptor. */
  open(path: string): number;
  /**
   * What the hypervisor behind a device, partition or VP runs on, and with it the guests: 0 x64, 1 arm64. The driver does not
   * tell: it is what the addon was compiled for, and a simulator's is what it was made with.
   */
  architecture(fd: number): number;
  /**
   * 1 where the hypervisor below this device offers to inject interrupts through VPs' register pages
   * (`HV_VP_DISPATCH_INTERRUPT_INJECTION_AVAILABLE`), as CPUID says, else 0. The driver does so with the root scheduler.
   */
  fastInjection(device: number): number;
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
  /** `MSHV_INITIALIZE_PARTITION`. */
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

  /**
   * `MSHV_IOEVENTFD`. With the DEASSIGN flag everything must be as it was assigned. `match` is looked at only
   * with the DATAMATCH flag.
   */
  ioeventfd(
    partition: number,
    eventFd: number,
    address: bigint,
    size: number,
    match: bigint,
    flags: number,
  ): number;
  /**
   * `MSHV_SET_GUEST_MEMORY` for `size` bytes of `memory` from `offset` on. `-EINVAL` where they are not all
   * inside it, or `gpa` is not a multiple of 4096. With the UNMAP flag everything must be as it was mapped.
   */
  mapMemory(
    partition: number,
    memory: number,
    offset: bigint,
    size: bigint,
    gpa: bigint,
    flags: number,
  ): number;
  /**
   * `MSHV_GET_GPAP_ACCESS_BITMAP` for `pages` guest pages from page number `firstPage` on. Bit i of
   * `bitmap`, least significant first, is page i. `-EINVAL` where the bitmap is too short.
   */
  accessBitmap(
    partition: number,
    type: number,
    operation: number,
    firstPage: bigint,
    pages: number,
    bitmap: BigUint64Array,
  ): number;
  /**
   * `MSHV_ROOT_HVCALL` on a device, partition or VP descriptor. `reps` is 0 for a simple call. `input`
   * and `output` have at most 4096 bytes; `output` may have none. `result` gets the hypervisor's status and
   * the number of completed reps, both 0 where the driver refused before the call. `-EBUSY` on an attached VP
   * that is running, where the driver would wait for the end of its run.
   */
  hypercall(
    fd: number,
    code: number,
    reps: number,
    input: Uint8Array,
    output: Uint8Array,
    result: Uint32Array,
  ): number;

  /**
   * Maps `size` bytes (a multiple of 4096) of zeroes and returns a handle, which is never used again.
   * `shared`: of a memfd that cannot be resized, which another environment can map too; else private to
   * this process. `hugePages`: aligned to 2 MiB, and the kernel is asked for pages of that size.
   */
  memoryCreate(size: bigint, shared: boolean, hugePages: boolean): number;
  /**
   * Maps a file of this process, whoever owns the descriptor, read-write and shared. Returns a handle. `-EINVAL`
   * where `offset` or `size` is not a multiple of 4096, or of the file's own huge pages; `-ENXIO` where a regular
   * file ends before the last byte, `-ENODEV` where the descriptor is neither one nor a character device. Who truncates the
   * file later makes accesses behind its end fatal (`SIGBUS`).
   */
  memoryFromFd(fd: number, offset: bigint, size: bigint): number;
  /** A new descriptor of the file behind shared memory; `-ENODEV` where there is none. */
  memoryFd(memory: number): number;
  /**
   * The environment's one view of the memory, the same object each time until it is detached. `-ENOTSUP` where the runtime
   * allows none, or none of this size (4 GiB in Node 20).
   */
  memoryBuffer(memory: number): ArrayBuffer | number;
  /** Copies from the memory at `offset` into `bytes`. `-EINVAL` where they are not all inside. */
  memoryRead(memory: number, offset: bigint, bytes: Uint8Array): number;
  /** Copies the other way round. */
  memoryWrite(memory: number, offset: bigint, bytes: Uint8Array): number;
  /**
   * Sets bits of the aligned 32-bit word at `offset`, as `Atomics.or` does, and returns those that were not set, as a
   * bigint. `-EINVAL` where the word is not aligned or not all inside.
   */
  memorySetBits(memory: number, offset: bigint, bits: number): bigint | number;
  /** Clears bits likewise, as `Atomics.and` does, and returns those that were set. */
  memoryTakeBits(memory: number, offset: bigint, bits: number): bigint | number;
  /**
   * Detaches the view: its length is 0 from now on. The memory stays mapped. `-EPERM` where the view is marked as
   * untransferable (Node 24), or the environment is being terminated.
   */
  memoryDetach(memory: number): number;
  /**
   * Detaches the view, likewise, and unmaps the memory. The handle is free. The addresses are kept until the view's
   * object is garbage, with zero pages in place of the memory; where the view was transferred, until the process ends.
   */
  memoryUnmap(memory: number): number;

  /**
   * Makes a token of descriptors that this environment owns: puts duplicates into it, which belong to nobody until somebody
   * receives them, and are closed when this environment ends where nobody has. The token is in shared memory: a word that
   * is 0 until it is taken, one that is not 0 as long as this environment lives, then the descriptors.
   */
  share(descriptors: Int32Array, token: Int32Array): number;
  /**
   * Takes ownership of what is in a token, which another environment of this process made: descriptors of these
   * `descriptorKinds`. Where a VP and an arbiter are among them, the VP is attached with it: see vpAttach. `-EALREADY`
   * where somebody has taken it or its environment has ended, `-EINVAL` where it is something else, `-EBUSY` where this
   * environment owns one of them already. The token is as it was then.
   */
  receive(token: Int32Array, kinds: Uint32Array): number;
  /**
   * Maps what is in a token of shared memory, like memoryFromFd, and closes its descriptor. Returns a handle. Fails like both
   * of them; the token is as it was then.
   */
  receiveMemory(token: Int32Array, offset: bigint, size: bigint): number;
  /**
   * Takes ownership of the eventfd in a token, as eventfdAdopt does, so that its number in the token is nobody's. Returns another
   * descriptor. Fails like receive; the token is as it was then.
   */
  receiveEventfd(token: Int32Array): number;
  /**
   * Prepares a VP descriptor for the functions below, which are `-EBADF` before. `arbiter` is -1, or the
   * arbiter's descriptor of an environment that attached the same VP: all of them can cancel each other's
   * runs. `comesAgain` has the types of the messages, up to 64, that may be dropped where nobody could be told of them;
   * default: none. It is that of the first who attached the VP. Returns the arbiter's descriptor, which this environment owns and may close at any time.
   * `-EEXIST` where the descriptor is attached. Closing or releasing the VP's descriptor ends its thread and detaches
   * its pages.
   */
  vpAttach(vp: number, arbiter: number, comesAgain?: Uint32Array): number;
  /**
   * Gives this environment's memory for exits of the VP, before it is run: 384 bytes over a SharedArrayBuffer, at an address
   * that divides by 8, which are in use until the descriptor is closed. In host byte order, from byte
   *
   * - 0: the message of the last exit, 256 bytes, as vpRun and vpStart hand it over
   * - 256: a mark: 0 until the caller says that somebody was told of what comes once, which is a cancel, and an
   *   exit that is not of `comesAgain`. Where this environment ends before that, and before it calls the addon for this VP
   *   again, it is the next run's, whoever runs the VP
   * - 260: the number of the run (see vpLastRun), a 32-bit word
   * - 264: 10 words of 64 bits, and from 344 on 10 words of 32 bits: see vpCompleteExit
   *
   * `-EINVAL` where it is something else, `-EEXIST` where there is one.
   */
  vpUseBlock(vp: number, block: Uint8Array): number;
  /**
   * `MSHV_RUN_VP` on this thread; `-EINVAL` without a block. `-ECANCELED`: a cancel was acknowledged and
   * the VP did not exit. `-EINTR`: nothing happened, call again; a run is interrupted ten times a second, so that
   * a Worker can be terminated. It is the same run until then, or until the descriptor is closed: nobody else can run the
   * VP. `-ESHUTDOWN`: it is being terminated; do not call again. `-EBUSY`: the VP is running already, or a thread holds
   * it.
   */
  vpRun(vp: number): number;
  /**
   * Makes the run under way, or the next one, return `-ECANCELED` once: at once where an exit is not
   * already on its way, else the exit is returned first and the run after it is canceled. The kick is
   * repeated until then. Cancels before that are one. A cancel of a run that vpStop ends stays for the next run.
   *
   * Where others have taken the signals that interrupt a run, and there can be no other one: what that failed with
   * (`-ENOSPC` of sigaction, `-EAGAIN` of timer_create, …). Nothing has changed then.
   */
  vpCancel(vp: number): number;
  /**
   * The number of the last run of the VP, by whoever has it: 1 or more, 0 where there was none. What has another one is no
   * exit that the VP stands at. A run that was refused, or canceled before it began, is none.
   */
  vpLastRun(vp: number): number;
  /**
   * Runs the VP on a thread of its own. After each run `onExit` is called with what vpRun would have returned, never
   * `-EINTR`; the VP waits for `vpResume` then, and nobody else can run it until `vpStop`. Holds the loop. `-EBUSY` where the
   * VP has a thread here, `-EINVAL` where it has no block.
   */
  vpStart(vp: number, onExit: (result: number) => void): number;
  /** `-EBUSY` where no exit was handed over since the last one, `-ENOENT` where there is no thread. */
  vpResume(vp: number): number;
  /**
   * Ends the thread, wherever it is, and joins it. `onExit` is not called any more, not even for an exit that is
   * on its way. One that comes once is the next run's. `-ENOENT` where there is no thread; where it cannot be interrupted,
   * as for vpCancel: it goes on then. So do closing and releasing the VP's descriptor.
   */
  vpStop(vp: number): number;
  /** Whether the thread keeps the event loop alive (it does at first). `-ENOENT` where there is no thread. */
  vpHoldLoop(vp: number, hold: boolean): number;
  /**
   * The VP's register page or intercept message page (`vpPages`), 4096 bytes, the same object each time; length 0
   * once the VP's descriptor is closed, with its addresses kept as those of memory are. `-ENODEV` where the driver has
   * none, `-ENOTSUP` as for memoryBuffer.
   */
  vpPage(vp: number, page: number): ArrayBuffer | number;
  /**
   * Copies the register page's first bytes into `page` (all that it has where `page` is as long) and then clears bits of
   * its dirty word. 1, 0 where the page is not valid: then it does neither. `-EBUSY` where the VP is running, which it cannot come
   * to be meanwhile; `-ENODEV` as for vpPage.
   */
  vpReadRegisterPage(vp: number, page: Uint8Array, clear: number): number;
  /**
   * Writes words to the register page and then sets bits of its dirty word; returns likewise. `places` has where in the
   * page each of the first words goes: a multiple of 8, or 0 for one that goes nowhere.
   */
  vpWriteRegisterPage(
    vp: number,
    places: Uint32Array,
    words: BigUint64Array,
    dirty: number,
  ): number;
  /**
   * Writes the first `count` of the block's words to the register page, at the places that its other words have, likewise.
   * `-ESTALE`: the run of this number is not the VP's last one, or goes on; the VP cannot come to run meanwhile. `-ENODEV` as
   * for vpPage, after that.
   */
  vpCompleteExit(vp: number, run: number, count: number, dirty: number): number;
  /**
   * `MSHV_GET_VP_STATE` into `state`, through a page-aligned buffer of `state.length` rounded up. Returns
   * the number of bytes the state has, which may be more than fit: then nothing was read. `-EBUSY` where the VP is running,
   * which it cannot come to be meanwhile.
   */
  vpGetState(vp: number, type: number, state: Uint8Array): number;
  /**
   * `MSHV_SET_VP_STATE`, likewise. Where `state` does not fill whole pages the driver is asked for the state's
   * size before.
   */
  vpSetState(vp: number, type: number, state: Uint8Array): number;

  /** A new eventfd. */
  eventfdCreate(initial: number, semaphore: boolean): number;
  /**
   * Takes ownership of `fd`: closes it and returns another descriptor of the same open file, close-on-exec, whose
   * number nobody else knows. `-EBUSY` where this environment owns it already. Where it fails, `fd` stays open.
   */
  eventfdAdopt(fd: number): number;
  /**
   * A second descriptor, for others to know: the same one each time unless somebody has closed it. It is closed with
   * `fd`, and when that is released, where it is a descriptor of the same eventfd still.
   */
  eventfdShow(fd: number): number;
  /** Adds `n` (1 where absent) to the counter. For a descriptor whose open file nobody else has: see the next. */
  eventfdSignal(fd: number, n?: bigint): number;
  /**
   * The same where others may have cleared O_NONBLOCK, which belongs to the open file. A full counter is `-EAGAIN` after a
   * millisecond then. Where the thread can have no timer for that: what failed, and `-ENOBUFS` for `-EAGAIN` of timer_create.
   */
  eventfdSignalBounded(fd: number, n?: bigint): number;
  /** The consumed count as a bigint, or a negative errno as a number (`-EAGAIN`: nothing there), whatever O_NONBLOCK is. */
  eventfdRead(fd: number): bigint | number;
  /** 1 where the counter is not 0, else 0. Consumes nothing. `-EBADF` where somebody has closed the number. */
  eventfdPoll(fd: number): number;

  /**
   * Reads the eventfd when it is readable, once in a turn of the loop, and hands over the count. `-EEXIST` where
   * watched.
   */
  watch(fd: number, onCount: (count: bigint) => void): number;
  /** Ends a watch. */
  unwatch(fd: number): number;
  /** Whether watching `fd` keeps the event loop alive (it does at first). */
  holdLoop(fd: number, hold: boolean): number;
}

/** What `Native.receive` takes. */
export const descriptorKinds = { partition: 0, vp: 1, arbiter: 2 } as const;

/** What `Native.vpPage` takes. */
export const vpPages = { register: 0, intercept: 1 } as const;

/** Which of the two addons. */
export type AddonName = 'mshv' | 'mshv_sim';

/** Which one an addon is, or stands for. */
export function addonOf(native: Native): AddonName {
  return 'simCreate' in native ? 'mshv_sim' : 'mshv';
}

const loaded: Partial<Record<AddonName, Native>> = {};

/** This environment's own. Loaded at first use. */
export function nativeOfAddon(addon: AddonName): Native {
  return (loaded[addon] ??= loadAddon(addon) as Native);
}

/**
 * The addon that ends in system calls. Loaded at first use.
 *
 * @throws MshvError `ERR_MSHV_ADDON` where it was not built, or for another platform, Node loads no addons, or this is a
 *   bundle or a runtime that cannot have it
 */
export function linuxNative(): Native {
  return nativeOfAddon('mshv');
}

/** An addon. One function of it stands for all of them. */
export function nativeArgument(name: string, value: Native): Native {
  const given: unknown = value;
  if (!isObject(given) || !('eventfdCreate' in given)) {
    throw typeError(name, 'an addon of this package', value);
  }
  return value;
}

/** The `native` of options: the addon that makes system calls, unless another one is given. */
export function nativeOption(name: string, value: Native | undefined): Native {
  return value === undefined ? linuxNative() : nativeArgument(name, value);
}

/** The `native` of options, where absent is not the same as the addon that makes system calls. */
export const optionalNative = optional<Native, Native>(nativeArgument);

const nativeOptions = { native: nativeOption } satisfies OptionTable<{ native?: Native }>;

/** The addon of options that have nothing else. */
export function nativeOfOptions(options: { native?: Native }): Native {
  return takeOptions('options', options, nativeOptions).native;
}
