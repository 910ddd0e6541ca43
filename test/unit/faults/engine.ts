import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

import { MshvError } from '../../../lib/index.js';
import { mappings } from '../../mappings.js';
import { watching } from './entered.js';
import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { errnoOf, type FaultKind } from './errnos.js';
import { type Faults, type FaultyDriver, Situation, type Step } from './situation.js';

// Tries every fault of every step of an operation. The steps are not listed anywhere: the operation is run once to
// see them.

/**
 * What comes of one fault.
 *
 * - `'refused'`: an error, and everything is as before.
 * - `'done'`: no error: the operation went on, and everything is as if there had been no fault.
 * - `'ended'`: an error, and the operation is done all the same: there is nothing to try again.
 * - `'begun'`: an error after some of the work, which is done again by trying again.
 * - `'otherwise'`: no error: the operation did without what it could not have.
 */
export type Outcome = 'refused' | 'done' | 'ended' | 'begun' | 'otherwise';

export interface Operation {
  readonly name: string;
  /** Prepares what there is before, and returns what does the operation, once or again. */
  arrange(situation: Situation): () => unknown;
  /** The purposes of its steps at the addon, where they are to be exactly these. */
  readonly steps?: string | undefined;
  /** Where a fault has another outcome than usual. */
  outcome?(step: Step, fault: FaultKind, index: number): Outcome | undefined;
  /** The code of its errors by step, where they are not the system's but have that as their cause. */
  code?(index: number): string;
}

const replacing: ReadonlySet<string> = new Set(['mmap', 'memfd_create', 'ftruncate', 'fcntl']);

/** Pages that cannot be replaced in one way when their buffer ends are replaced in another. */
export const replaced: NonNullable<Operation['outcome']> = ({ name }) =>
  replacing.has(name) ? 'done' : undefined;

export interface Tally {
  operations: number;
  steps: number;
  faults: number;
}

const noFaults: Faults = new Map();

async function perform(
  situation: Situation,
  act: () => unknown,
  faults: Faults = noFaults,
): Promise<{ steps: readonly Step[]; error: unknown }> {
  situation.driver.record(faults);
  let error: unknown;
  try {
    await watching(act);
  } catch (thrown) {
    error = thrown;
  }
  return { steps: situation.driver.recorded(), error };
}

/** The steps of an operation where nothing fails, and the state that it leaves. */
export async function flawless(newDriver: () => FaultyDriver, operation: Operation) {
  using situation = new Situation(newDriver());
  const act = operation.arrange(situation);
  const { steps, error } = await perform(situation, act);
  if (error !== undefined) throw new Error(`${operation.name} fails by itself`, { cause: error });
  situation.expectAgreement('flawless');
  return { steps, after: situation.state() };
}

/** What an operation that is not there any more, or needs no second time, is called by the driver. */
function usualOutcome(step: Step, { errno, status }: FaultKind): Outcome {
  switch (step.name) {
    case 'hypercall':
    case 'MSHV_ROOT_HVCALL':
      return (errno === 'EINTR' || errno === 'EAGAIN') && status === undefined ? 'done' : 'refused';
    case 'createPartition':
    case 'createPartitionV2':
    case 'MSHV_CREATE_PARTITION':
    case 'vpRun':
    case 'MSHV_RUN_VP':
      return errno === 'EINTR' ? 'done' : 'refused';
    case 'mapMemory':
    case 'ioeventfd':
    case 'MSHV_SET_GUEST_MEMORY':
    case 'MSHV_IOEVENTFD':
      return errno === 'ENOENT' && step.undoes ? 'ended' : 'refused';
    // Registers are reached by hypercall then.
    case 'vpReadRegisterPage':
    case 'vpWriteRegisterPage':
    case 'vpCompleteExit':
      return 'otherwise';
    default:
      return 'refused';
  }
}

export async function tryFaults(
  newDriver: () => FaultyDriver,
  operation: Operation,
  tally: Tally,
): Promise<void> {
  const { steps, after } = await flawless(newDriver, operation);
  if (operation.steps !== undefined) {
    expect(steps.map(({ purpose }) => purpose).join(' ')).toBe(operation.steps);
  }
  tally.operations++;
  tally.steps += steps.length;
  for (const [index, step] of steps.entries()) {
    const before = mappings(/memfd:|anon_inode:/).length;
    const run: Run = { newDriver, operation, step, index, after };
    for (const fault of step.faults.filter((one) => one.status === undefined)) {
      await tryFault(run, fault);
      tally.faults++;
    }
    const refused = step.faults.filter((one) => one.status !== undefined);
    tally.faults += await tryRefusals(run, index === 0 ? refused : oneOfEach(refused));
    expect(
      mappings(/memfd:|anon_inode:/).length,
      `${operation.name}: mappings after faults of ${step.purpose}`,
    ).toBe(before);
  }
}

/** A step of an operation whose faults are tried, and the state that the operation leaves without any. */
interface Run {
  readonly newDriver: () => FaultyDriver;
  readonly operation: Operation;
  readonly step: Step;
  readonly index: number;
  readonly after: unknown;
}

function contextOf({ operation, step, index }: Run, { errno, status }: FaultKind): string {
  return `${operation.name}: step ${index + 1}, ${step.purpose}, ${status ?? errno}`;
}

function outcomeOf({ operation, step, index }: Run, fault: FaultKind): Outcome {
  return operation.outcome?.(step, fault, index) ?? usualOutcome(step, fault);
}

/** Of the hypervisor's many statuses that become one errno, the first. */
function oneOfEach(faults: readonly FaultKind[]): FaultKind[] {
  const refused = new Set<string>();
  return faults.filter(({ errno, status }) => {
    const known = status !== undefined && refused.has(errno);
    if (status !== undefined) refused.add(errno);
    return !known;
  });
}

async function tryFault(run: Run, fault: FaultKind): Promise<void> {
  const { operation, step, index, after } = run;
  const context = contextOf(run, fault);
  using situation = new Situation(run.newDriver());
  const act = operation.arrange(situation);
  const before = situation.state();
  const { error } = await perform(situation, act, new Map([[index, fault]]));
  const outcome = outcomeOf(run, fault);
  situation.expectAgreement(context);
  if (outcome !== 'ended') expect(situation.driver.lost(), context).toEqual([]);
  if (outcome === 'done' || outcome === 'otherwise') {
    expect(error, context).toBeUndefined();
    if (outcome === 'done') expectState(situation, after, context);
    return;
  }
  expectSystemError(operation.code?.(index), error, step, fault, context);
  if (outcome === 'refused') expectState(situation, before, context);
  if (outcome === 'ended') expectState(situation, after, context);
  await expectRetry(situation, act, after, context);
}

async function expectRetry(
  situation: Situation,
  act: () => unknown,
  after: unknown,
  context: string,
): Promise<void> {
  const { error } = await perform(situation, act);
  expect(error, `${context}, again`).toBeUndefined();
  expectState(situation, after, `${context}, again`);
  situation.expectAgreement(`${context}, again`);
}

/** A listener is told of no more failures of one thing in a second. */
const togetherAtMost = 8;

/** The hypervisor's many statuses: those that change nothing are tried one after the other. */
async function tryRefusals(run: Run, faults: readonly FaultKind[]): Promise<number> {
  const { operation, step, index, after } = run;
  const unchanging = faults.filter((fault) => outcomeOf(run, fault) === 'refused');
  for (const fault of faults.filter((one) => !unchanging.includes(one))) await tryFault(run, fault);
  for (let first = 0; first < unchanging.length; first += togetherAtMost) {
    using situation = new Situation(run.newDriver());
    const act = operation.arrange(situation);
    const before = situation.state();
    for (const fault of unchanging.slice(first, first + togetherAtMost)) {
      const { error } = await perform(situation, act, new Map([[index, fault]]));
      expectSystemError(operation.code?.(index), error, step, fault, contextOf(run, fault));
    }
    const context = `${operation.name}: step ${index + 1}, ${step.purpose}, refused`;
    expectState(situation, before, context);
    await expectRetry(situation, act, after, context);
  }
  return faults.length;
}

/** Comparing states is most of the work: what shows how they differ is asked only where they do. */
function expectState(situation: Situation, expected: unknown, context: string): void {
  const state = situation.state();
  if (!isDeepStrictEqual(state, expected)) expect(state, context).toEqual(expected);
}

/** Where a VP that runs is refused. */
const busyWhereRunning: ReadonlySet<string> = new Set([
  ...['vpRun', 'vpStart', 'vpResume', 'vpGetState', 'vpSetState'],
]);

/** Expects an MshvError that says what has failed, and that undoing what went before has not. */
function expectSystemError(
  code: string | undefined,
  thrown: unknown,
  step: Step,
  { errno, status }: FaultKind,
  context: string,
): void {
  const error = code === undefined ? thrown : causeOf(thrown, code, context);
  if (!(error instanceof MshvError)) throw new Error(`${context}: no MshvError`, { cause: thrown });
  const expected =
    errno === 'EBUSY' && busyWhereRunning.has(step.name)
      ? { code: 'ERR_MSHV_VP_RUNNING' }
      : {
          code: errno,
          errno: -errnoOf(errno),
          ...(status !== undefined && { hvStatus: { code: hvStatusCodes[status], name: status } }),
          ...(step.ioctl === undefined
            ? { syscall: step.name }
            : { syscall: 'ioctl', ioctl: step.ioctl }),
        };
  const found = Object.fromEntries(
    Object.keys(expected).map((key) => [key, Reflect.get(error, key) as unknown]),
  );
  if (!isDeepStrictEqual(found, expected)) expect(found, context).toEqual(expected);
  if (error.cause instanceof AggregateError) throw new Error(context, { cause: error.cause });
}

function causeOf(error: unknown, code: string, context: string): unknown {
  expect(error, context).toMatchObject({ code });
  return error instanceof Error ? error.cause : undefined;
}
