import { inspect, type InspectOptions } from 'node:util';

import type { CpuidValues } from '../abi/hypercall-outputs.js';
import type { Intercept, InterceptMessages } from '../abi/intercepts.js';
import type { Arm64Intercept } from '../abi/messages/arm64-intercepts.js';
import type { Arm64HypercallIntercept } from '../abi/messages/arm64-synic-intercepts.js';
import type { CpuidIntercept } from '../abi/messages/cpuid-intercept.js';
import type { HypercallIntercept } from '../abi/messages/hypercall-intercept.js';
import type { IoPortIntercept } from '../abi/messages/io-port-intercept.js';
import { Message, messageBrand } from '../abi/messages/message.js';
import type { MsrIntercept } from '../abi/messages/msr-intercept.js';
import type { X64Intercept } from '../abi/messages/x64-intercept.js';
import type { RegisterName } from '../abi/registers.js';
import type { VpStateType } from '../abi/vp-state.js';
import { throwIfAborted, type WaitOptions } from '../abort-signal.js';
import { functionArgument, instanceArgument, ours, ownConstructor } from '../arguments.js';
import { closeEach } from '../closing.js';
import { inspected } from '../inspection.js';
import type { Native } from '../native.js';
import { takeOptions, waitOptions } from '../options.js';
import type { ReceiveOptions, VpToken } from '../share-token.js';
import { ExitCompletion, type HypercallAnswer, type HypercallResult } from './exit-completion.js';
import type { HypercallOptions } from '../hypercall/hypercall.js';
import {
  getNamedRegisters,
  setNamedRegisters,
  type RegisterInputs,
  type Registers,
} from './named-registers.js';
import { apicIdsOf, type PartitionCalls } from '../hypercall/partition-calls.js';
import { runHere } from './blocking-run.js';
import { PendingExit } from './pending-exit.js';
import type { RegisterPage } from './register-page.js';
import { VpDescriptor } from './vp-descriptor.js';
import { VpRegisters } from './vp-registers.js';
import { beginRun, finishRun, type ExitHandler, type StartedRun } from './started-run.js';
import { runningError } from './run-errors.js';
import { performVpHypercall } from './vp-hypercall.js';
import { VpPages } from './vp-pages.js';
import { receiveVp, shareVp } from './vp-token.js';
import { getVpState, setVpState } from './vp-state.js';

const exitBrand = messageBrand(Message);

let create: (native: Native, fd: number, index: number, partition: PartitionCalls) => Vp;
let pagedRegisters: (vp: Vp) => VpRegisters | undefined;

/**
 * A virtual processor. Its APIC id, the destination of physical MSIs, is its index unless it is given another one.
 *
 * It is run by `run()`, which blocks, or by `start()`, on a thread of its own. One VP is run by one thread at a
 * time, whichever environments have it; all of them may `cancel()`. While it runs, its registers are there
 * through the partition's descriptor, which waits for no run; its state is not.
 *
 * The driver never deletes a VP before its partition: `close()` gives back the descriptor, the index
 * stays taken.
 *
 * @example
 * ```ts
 * guest.out(0x3f8, 1, 0x41).halt();
 * const exit = vp.run();
 * if (exit?.type === 'io-port') {
 *   console.log(exit.port, exit.value); // 1016 65
 *   vp.completeIoPort(exit);
 * }
 * ```
 */
export class Vp implements Disposable {
  readonly #descriptor: VpDescriptor;
  /** What is closed with this object. */
  readonly #owned: Disposable | undefined;
  readonly #registers: VpRegisters;
  readonly #exits: PendingExit;
  readonly #completion: ExitCompletion;
  readonly #pages: VpPages;
  #run: StartedRun | undefined;
  /** 0 to 255. */
  readonly index: number;
  /** Through which its registers are reached: the Partition, or in another environment what `receive()` made. */
  readonly partition: PartitionCalls;

  private constructor(
    key: symbol,
    descriptor: VpDescriptor,
    partition: PartitionCalls,
    owned: Disposable | undefined,
  ) {
    ownConstructor('Vp', key);
    this.#descriptor = descriptor;
    this.#owned = owned;
    this.index = descriptor.index;
    this.partition = partition;
    this.#registers = new VpRegisters(descriptor, partition);
    this.#exits = new PendingExit(descriptor, partition.architecture);
    this.#completion = new ExitCompletion(this.#exits, this.#registers);
    this.#pages = new VpPages(descriptor, partition.architecture);
  }

  static {
    create = (native, fd, index, partition) =>
      new Vp(ours, new VpDescriptor(native, fd, index), partition, undefined);
    pagedRegisters = (vp) => (vp.#registers.mayBePaged ? vp.#registers : undefined);
  }

  /**
   * Takes what `vp.share()` returned, which nobody else can receive then, in any environment of the
   * process: in a Worker, or again in the sender's to take it back.
   *
   * The new object has descriptors of its own and a `partition` that is closed with it.
   *
   * @throws MshvError `ERR_MSHV_TOKEN_TAKEN` where it was received before, or the environment that made it has ended. Where
   *   anything else is thrown, the token can be received again
   * @throws TypeError `ERR_INVALID_ARG_VALUE` where `native` is not the sender's addon
   *
   * @example
   * ```ts
   * import { Vp } from 'mshv';
   *
   * const token = vp.share(); // goes to a Worker, as workerData or by postMessage
   * using received = Vp.receive(token); // there
   * console.log(received.index); // 0
   * ```
   */
  static receive(token: VpToken, options: ReceiveOptions = {}): Vp {
    const [descriptor, partition] = receiveVp(token, options);
    return new Vp(ours, descriptor, partition, partition);
  }

  /** Whether `close()` was called, here or by the partition. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /**
   * The APIC id, as far as this process has given it: the index, or what `createVp` or a write of INITIAL_APIC_ID or
   * APIC_ID made of it. Undefined on arm64, and where another process created the VP.
   */
  get apicId(): number | undefined {
    return this.partition.architecture === 'x64'
      ? apicIdsOf(this.partition).of(this.index)
      : undefined;
  }

  /**
   * The descriptor, borrowed: to be inherited by a child process, say.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /**
   * Runs the VP on this thread until it exits: the thread does nothing else meanwhile, so this is for a
   * Worker.
   *
   * A Worker can be terminated, and the process can exit, within a tenth of a second. Allocates nothing in a loop that
   * awaits nothing: such a loop gets an object again after 63 other exits of its type, and never one that it had before
   * it awaited something.
   *
   * @returns the exit, valid until the next `run()` or `start()`; undefined where `cancel()` ended the run before the VP
   *   exited. What the driver resolves itself (a first access to memory, a doorbell) is no exit.
   * @throws MshvError `ERR_MSHV_VP_RUNNING` where it runs already; `EIO` where the hypervisor cannot run it;
   *   `EFAULT` where the exit was lost
   *
   * @example
   * ```ts
   * guest.halt();
   * console.log(vp.run()?.type); // halt
   * ```
   */
  run(): Intercept | undefined {
    this.#refuseStarted('run');
    return runHere(this.#descriptor, this.#exits);
  }

  /**
   * Runs the VP on a native thread of its own and calls `handler` with each exit on this environment's event
   * loop. The VP waits for the answer: it runs on when the handler has returned, or its promise is
   * resolved. See `StartedRun.finished` for how it ends. Running keeps the event loop alive, see `StartedRun.unref()`. The handler runs in
   * the async context (`AsyncLocalStorage`) of this call.
   *
   * Where `options.signal` aborts, the VP is stopped as by `StartedRun.stop()`, and `finished` rejects with the signal's reason. What
   * the handler rejects with then because of the same signal is no further error. Where the VP cannot be stopped, that is an
   * uncaught exception, and the run goes on.
   *
   * @throws the reason of `options.signal` where that has aborted before: nothing has run then
   * @throws MshvError `ERR_MSHV_VP_RUNNING` where it was started already, while a run by another object shows in
   *   `finished`; `EAGAIN` where there is no room for a thread
   *
   * @example
   * ```ts
   * guest.out(0x3f8, 1, 0x41).halt();
   * const run = vp.start((exit) => {
   *   if (exit.type !== 'io-port') return 'stop';
   *   vp.completeIoPort(exit);
   *   return; // and the VP goes on
   * });
   * console.log(await run.finished); // stopped
   * ```
   */
  start(handler: ExitHandler, options: WaitOptions = {}): StartedRun {
    functionArgument('handler', handler);
    const { signal } = takeOptions('options', options, waitOptions);
    this.#descriptor.checkOpen();
    throwIfAborted(signal);
    this.#refuseStarted('start');
    const ended = (): void => {
      this.#run = undefined;
    };
    this.#run = beginRun(this.#descriptor, this.#exits, handler, ended, signal);
    this.#exits.clear();
    return this.#run;
  }

  /**
   * Ends the run under way, or else the next one, once, in whichever environment it is: `run()` returns undefined,
   * a run of `start()` finishes as `'canceled'`. It is never lost. An exit that is already on its way is
   * delivered first, and the run after it is canceled. Several cancels before a run ends are one.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`; where other code of the process has taken the signals that interrupt a run and
   *   there can be no other, `ENOSPC` (sigaction) or what `timer_create` fails with: the run goes on, nothing is canceled
   *
   * @example
   * ```ts
   * const run = vp.start(() => undefined);
   * vp.cancel();
   * console.log(await run.finished); // canceled
   * ```
   */
  cancel(): void {
    this.#descriptor.cancel();
  }

  /**
   * Reads registers by name; the VP may be running. They are what its next run begins with: where the VP stands still and its
   * register page is valid, those that are in the page come from there, without a system call, and an exit that was
   * completed is seen as completed. All others take one hypercall for up to 256.
   *
   * @returns an object with a bigint for each name, but for segment and table registers
   * @throws MshvError as `partition.getRegisters()`
   *
   * @example
   * ```ts
   * console.log(vp.getRegisters(['RFLAGS'])); // { RFLAGS: 2n }
   * ```
   */
  getRegisters<const Name extends RegisterName>(names: readonly Name[]): Registers<Name> {
    this.#descriptor.checkOpen();
    return getNamedRegisters(this.#registers, names);
  }

  /**
   * Writes registers by name, to begin the next run with: to the register page where `getRegisters()` would read there, all
   * others with one hypercall for up to 127, in the order of the keys. A completion before or after it changes what it has
   * to change and no more. The page takes any value: what the processor does not take shows at the next run
   * (`'invalid-vp-register-value'`).
   *
   * @throws MshvError as `partition.setRegisters()`: the page is as it was then
   *
   * @example
   * ```ts
   * vp.setRegisters({ RIP: 0x100000, RFLAGS: 2 });
   * console.log(vp.getRegisters(['RIP'])); // { RIP: 1048576n }
   * ```
   */
  setRegisters(values: RegisterInputs): void {
    this.#descriptor.checkOpen();
    setNamedRegisters(this.#registers, values);
  }

  /**
   * The register page, the same object each time; undefined where it cannot be had, whatever the reason (on arm64 there
   * is none, for one): `getRegisters()` and `setRegisters()` are there always.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get registerPage(): RegisterPage | undefined {
    return this.#pages.registers;
  }

  /**
   * The page in which the hypervisor leaves what the VP exits with, the same object each time; undefined where
   * it cannot be had, whatever the reason: the exits of `run()` and `start()` do not need it. While the VP runs it is the hypervisor's. Unlike the bytes of a run, it also shows messages
   * that the driver resolved itself. Its messages throw a TypeError once the VP is closed.
   *
   * @throws MshvError `ERR_MSHV_CLOSED`
   */
  get interceptPage(): InterceptMessages | undefined {
    return this.#pages.intercept;
  }

  /**
   * Any hypercall that the driver passes through on a VP's descriptor, with its input packed by the caller. It
   * reaches the whole partition, other VPs too, and no more than `partition.hypercall()` does, which never
   * waits for a VP: this is for whoever has the VP's descriptor only.
   *
   * @returns the output
   * @throws MshvError `ERR_MSHV_VP_RUNNING` while the VP runs; as the hypervisor refuses it
   */
  hypercall(options: HypercallOptions): Uint8Array {
    return performVpHypercall(this.#descriptor, options);
  }

  /**
   * Reads a state as the hypervisor has it: the local APIC (`lapicStateFields`), the XSAVE area in compacted
   * format, the SynIC's message page (SIMP) or event flags page (SIEFP), the synthetic timers
   * (`syntheticTimersLayout`).
   *
   * @throws MshvError `ERR_MSHV_VP_RUNNING` while the VP runs; as the hypervisor refuses it
   *
   * @example
   * ```ts
   * console.log(vp.getState('lapic').length); // 4096
   * ```
   */
  getState(type: VpStateType): Uint8Array {
    return getVpState(this.#descriptor, type, this.partition, this.#registers);
  }

  /**
   * Writes a state.
   *
   * @param state - all of it, as `getState()` returned it
   * @throws MshvError `ERR_MSHV_VP_RUNNING` while the VP runs; as the hypervisor refuses it
   *
   * @example
   * ```ts
   * vp.setState('lapic', vp.getState('lapic'));
   * ```
   */
  setState(type: VpStateType, state: Uint8Array): void {
    setVpState(this.#descriptor, type, state, this.partition, this.#registers);
  }

  /**
   * Completes a port access: what IN reads goes to AL, AX or EAX, and RIP to the next instruction. The VP takes
   * it at its next run.
   *
   * This and the other completions write as `setRegisters()` does. They take the exit itself or a snapshot of it, once.
   *
   * @param value - for IN, as many bits as the access has; absent for OUT
   * @throws MshvError `ERR_MSHV_STALE_EXIT` where the VP did not stop with this exit, has run since, or the exit is
   *   completed; `ERR_MSHV_NOT_COMPLETABLE` for INS and OUTS, and where the length of the instruction is not known
   *
   * @example
   * ```ts
   * guest.in(0x60, 1).out(0x61, 1).halt();
   * const exit = vp.run();
   * if (exit?.type === 'io-port' && !exit.isWrite) vp.completeIoPort(exit, 41);
   * const next = vp.run();
   * console.log(next?.type === 'io-port' && next.value); // 41
   * ```
   */
  completeIoPort(exit: IoPortIntercept, value?: number): void {
    this.#completion.ioPort(exit, value);
  }

  /**
   * Completes RDMSR or WRMSR. For one that faults, set `PENDING_EVENT0` instead.
   *
   * @param value - for RDMSR; absent for WRMSR
   * @throws MshvError as `completeIoPort()`
   *
   * @example
   * ```ts
   * partition.installIntercept({ type: 'msr' });
   * guest.rdmsr(0x1234).halt();
   * const exit = vp.run();
   * if (exit?.type === 'msr') vp.completeMsr(exit, 7n);
   * console.log(vp.run()?.type); // halt
   * ```
   */
  completeMsr(exit: MsrIntercept, value?: bigint | number): void {
    this.#completion.msr(exit, value);
  }

  /**
   * Completes CPUID.
   *
   * @throws MshvError as `completeIoPort()`
   *
   * @example
   * ```ts
   * partition.installIntercept({ type: 'cpuid', leaf: 0x40000000 });
   * guest.cpuid(0x40000000).halt();
   * const exit = vp.run();
   * if (exit?.type === 'cpuid') vp.completeCpuid(exit, { eax: 1, ebx: 2, ecx: 3, edx: 4 });
   * console.log(vp.run()?.type); // halt
   * ```
   */
  completeCpuid(exit: CpuidIntercept, result: CpuidValues): void {
    this.#completion.cpuid(exit, result);
  }

  /**
   * Completes a guest's hypercall: the result goes to RAX, or to EDX:EAX of a guest that is not in long mode
   * (TLFS, "Hypercall Outputs"), on arm64 to X0. RIP goes on by 3, PC by 4, where the hypervisor did not say how long the instruction is.
   *
   * @param answer - the result, or what gives it: that is called when the exit has been checked, and may
   *   close the VP: then nothing is completed
   * @throws MshvError as `completeIoPort()`
   *
   * @example
   * ```ts
   * partition.installIntercept({ type: 'hypercall' });
   * guest.signalEvent(9).halt();
   * const exit = vp.run();
   * if (exit?.type === 'hypercall') vp.completeHypercall(exit, { status: 0 });
   * console.log(vp.run()?.type); // halt
   * ```
   */
  completeHypercall<Exit extends HypercallIntercept | Arm64HypercallIntercept>(
    exit: Exit,
    answer: HypercallResult | HypercallAnswer<Exit>,
  ): void {
    this.#completion.hypercall(exit, answer);
  }

  /**
   * Checks that the VP is stopped with this exit, or what it is a snapshot of, and that it is not completed: for
   * whoever answers exits by other means than the completions.
   *
   * @throws MshvError `ERR_MSHV_STALE_EXIT` where it is not; `ERR_MSHV_CLOSED`
   *
   * @example
   * ```ts
   * guest.halt();
   * const exit = vp.run();
   * if (exit !== undefined) vp.checkExit(exit); // throws where it is of an earlier stop
   * ```
   */
  checkExit(exit: Message): void {
    instanceArgument('exit', exit, exitBrand);
    this.#exits.check(exit);
  }

  /**
   * Moves RIP, or PC, past the instruction that the VP stopped at, and changes nothing else.
   *
   * @throws MshvError as `completeIoPort()`
   *
   * @example
   * ```ts
   * guest.mmioWrite(0xf0000000, 4, 1).halt();
   * const exit = vp.run();
   * if (exit?.type === 'unmapped-gpa') vp.skipInstruction(exit);
   * console.log(vp.run()?.type); // halt
   * ```
   */
  skipInstruction(exit: X64Intercept | Arm64Intercept): void {
    this.#completion.skip(exit);
  }

  /**
   * Makes a token for another environment of this process: post it to a Worker, or pass it as `workerData`,
   * and call `Vp.receive()` there. It holds duplicates of the VP's, its arbiter's and the partition's
   * descriptor, so what it stands for outlives this object and the partition.
   *
   * A token that nobody receives keeps those descriptors open until this environment ends, and is of no use after that:
   * `Vp.receive(token).close()` takes it back.
   *
   * @throws MshvError `EMFILE`
   *
   * @example
   * ```ts
   * console.log(vp.share().type); // mshv-vp
   * ```
   */
  share(): VpToken {
    return shareVp(this.#descriptor, this.partition);
  }

  /**
   * Ends a run of `start()`, wherever it is, as `'closed'`, and closes the descriptors of this object; its
   * pages are gone. Where another environment has the VP too, it goes on there. Harmless where closed already.
   *
   * @throws MshvError as `StartedRun.stop()`, where the VP stays open and runs on
   */
  close(): void {
    if (this.closed) {
      return;
    }
    if (this.#run !== undefined) {
      finishRun(this.#run, 'closed');
    }
    closeEach(`VP ${this.index}`, [
      () => {
        this.#descriptor.close();
      },
      () => {
        this.#owned?.[Symbol.dispose]();
      },
    ]);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](depth: number | null, options: InspectOptions): string {
    const { index, closed } = this;
    return inspected('Vp', { index, closed }, depth, options);
  }

  #refuseStarted(verb: string): void {
    if (this.#run !== undefined) {
      throw runningError(this.index, `${verb} VP ${this.index}`);
    }
  }
}

export { create as createVp, pagedRegisters };
