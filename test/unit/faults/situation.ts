import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

import {
  type IrqFdRoute,
  type Mshv,
  type Partition,
  type RegisterPage,
  type Vp,
} from '../../../lib/index.js';
import type { Native } from '../../../lib/native.js';
import { openDescriptors } from '../../open-descriptors.js';
import { vpOf } from '../../vp-of.js';
import { watchingNow } from './entered.js';
import type { FaultKind } from './errnos.js';
import { stateOf } from './state.js';

/** One call that an operation made: of a function of the addon, or of the system. */
export interface Step {
  readonly name: string;
  /** What it was for, where that has a name of its own. */
  readonly purpose: string;
  /** Every way in which it can fail. */
  readonly faults: readonly FaultKind[];
  /** The ioctl's name, of one. */
  readonly ioctl: string | undefined;
  /** Whether the call took something away again. */
  readonly undoes: boolean;
  /** Whether there was none after it. */
  readonly last: boolean;
}

/** Which steps fail, by number, and how. */
export type Faults = ReadonlyMap<number, FaultKind>;

/** What the driver has of a partition, in the terms of its objects. */
export interface DriverView {
  readonly armed: readonly number[];
  readonly routes: readonly (readonly [gsi: number, address: bigint, data: number])[];
  readonly mappings: readonly DriverMapping[];
  readonly doorbells: readonly DriverDoorbell[];
}

interface DriverMapping {
  readonly gpa: bigint;
  readonly size: bigint;
  readonly writable: boolean;
  readonly executable: boolean;
}

interface DriverDoorbell {
  readonly gpa: bigint;
  readonly size: number;
  readonly match: bigint | undefined;
}

/** A driver whose calls can be made to fail. */
export interface FaultyDriver {
  readonly native: Native;
  open(): Mshv;
  /** Lets a VP's next run end with this message. */
  exitWith(partition: Partition, vp: Vp, message: Uint8Array): void;
  /** Empties the slots of all VPs' messages. */
  emptySlots(): void;
  /** Has a VP's register page be valid. */
  validatePage(vp: Vp): void;
  /** Gives a VP the states that can be read. */
  giveStates(vp: Vp): void;
  /** Everything that the driver has. */
  books(partition: Partition): unknown;
  /** Undefined where it has no such partition. */
  view(partition: Partition): DriverView | undefined;
  /** What it was made to do that it must not be. */
  violations(): readonly string[];
  /** The GSIs whose eventfd was closed while they were armed. */
  lost(): readonly number[];
  /** From now on steps are counted, and these fail. */
  record(faults: Faults): void;
  /** Ends that, and returns the steps since. */
  recorded(): readonly Step[];
  close(): void;
}

/**
 * A device, and a partition with four VPs, for one operation: with the objects that there are before it, and those
 * that it makes.
 */
export class Situation implements Disposable {
  readonly driver: FaultyDriver;
  readonly native: Native;
  readonly device: Mshv;
  readonly partition: Partition;
  readonly #descriptors = openDescriptors();
  readonly #owned: object[] = [];
  readonly #ends: (() => void)[] = [];
  readonly #observations: (() => unknown)[] = [];

  constructor(driver: FaultyDriver) {
    this.driver = driver;
    this.native = driver.native;
    this.device = driver.open();
    this.partition = this.device.createPartition();
    this.partition.initialize();
    for (let index = 0; index < 4; index++) this.partition.createVp(index);
  }

  /** An object that is looked at, and closed in the end. */
  own<Owned extends object>(owned: Owned): Owned {
    this.#owned.push(owned);
    return owned;
  }

  /** Something else to look at. */
  observe(observation: () => unknown): void {
    this.#observations.push(observation);
  }

  /** Something else to do in the end, before the objects are closed. */
  atEnd(end: () => void): void {
    this.#ends.push(end);
  }

  vp(index: number): Vp {
    return vpOf(this.partition, index);
  }

  /** A VP's register page, as the hypervisor would have it. */
  validRegisterPage(index: number): RegisterPage {
    const vp = this.vp(index);
    this.driver.validatePage(vp);
    const page = vp.registerPage;
    if (page === undefined) throw new Error(`VP ${index} has no register page`);
    return page;
  }

  /** Everything that can be seen, in memory, in the driver and in the process. */
  state(): unknown {
    this.driver.record(new Map());
    const objects = watchingNow(() => stateOf([this.device, this.partition, ...this.#owned]));
    const observed = this.#observations.map((observation) => observation());
    expect(this.driver.recorded(), 'looking makes no calls').toEqual([]);
    return {
      objects,
      observed,
      driver: this.driver.books(this.partition),
      descriptors: openDescriptors(),
    };
  }

  /** Expects that the driver has exactly what the objects say. */
  expectAgreement(context: string): void {
    const { partition } = this;
    expect(this.driver.violations(), context).toEqual([]);
    const view = this.driver.view(partition);
    if (view === undefined) {
      expect(partition.closed, context).toBe(true);
      return;
    }
    const routes = this.#owned.filter((one): one is IrqFdRoute => 'gsi' in one && 'armed' in one);
    const byText = <Value>(values: readonly Value[], text: (value: Value) => string): string[] =>
      values.map(text).sort();
    const mapping = ({ gpa, size, writable, executable }: DriverMapping): string =>
      `${gpa}+${size} ${writable} ${executable}`;
    const doorbell = ({ gpa, size, match }: DriverDoorbell): string => `${gpa}/${size}/${match}`;
    const driver = {
      armed: byText(view.armed, String),
      routes: byText(view.routes, ([gsi, address, data]) => `${gsi}: ${address} ${data}`),
      mappings: byText(view.mappings, mapping),
      doorbells: byText(view.doorbells, doorbell),
      open: routes.filter(({ closed }) => !closed).length,
    };
    const said = {
      armed: byText(
        routes.filter(({ route, masked }) => route !== undefined && !masked),
        ({ gsi }) => String(gsi),
      ),
      routes: routes
        .flatMap(({ gsi, route }) => (route ? [`${gsi}: ${route.address} ${route.data}`] : []))
        .sort(),
      mappings: byText(partition.mappings, (one) =>
        mapping({
          gpa: one.gpa,
          size: BigInt(one.size),
          writable: one.writable,
          executable: one.executable,
        }),
      ),
      doorbells: byText(partition.doorbells, doorbell),
      open: partition.irqfd.size,
    };
    if (!isDeepStrictEqual(driver, said)) expect(driver, context).toEqual(said);
    for (const { route, masked, armed } of routes) {
      if (armed !== (route !== undefined && !masked)) throw new Error(`${context}: armed ${armed}`);
    }
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends.splice(0).reverse()) end();
    for (const owned of this.#owned.splice(0).reverse()) {
      if ('close' in owned && typeof owned.close === 'function')
        Reflect.apply(owned.close, owned, []);
      else if (Symbol.dispose in owned) (owned as Disposable)[Symbol.dispose]();
    }
    this.device.close();
    this.driver.close();
    expect(this.driver.violations()).toEqual([]);
    expect(openDescriptors()).toBe(this.#descriptors);
  }
}
