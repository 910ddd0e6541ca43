import { ioctls, type IoctlName } from '../../../lib/abi/ioctls.js';
import { type Mshv, type Partition, type Vp } from '../../../lib/index.js';
import { simNative, type SimNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import { errnoOf, faultsOfCall, isIoctl, systemCallArgument } from './errnos.js';
import type { DriverView, Faults, FaultyDriver, Step } from './situation.js';

const ioctlNames = new Map(
  (Object.keys(ioctls) as IoctlName[]).map((name) => [String(ioctls[name]), name]),
);

/** The simulator: each system call of its addon is a step, those that the simulated driver makes are not. */
export class SimulatedDriver implements FaultyDriver {
  readonly native: SimNative = simNative();
  readonly #simulator = new Simulator();
  #oops: string[] = [];

  open(): Mshv {
    return this.#simulator.open();
  }

  exitWith(partition: Partition, { index }: Vp, message: Uint8Array): void {
    this.#simulator.queueMessage(partition, index, message);
  }

  giveStates(): void {
    // They are there.
  }

  validatePage(): void {
    throw new Error('only a run makes it valid');
  }

  emptySlots(): void {
    throw new Error('only the guest can empty them');
  }

  books(partition: Partition): unknown {
    if (partition.closed) return 'closed';
    const simulator = this.#simulator;
    return {
      routes: simulator.routes(partition),
      irqFds: simulator.irqFds(partition),
      doorbells: simulator.doorbells(partition).length,
      memory: simulator.memory(partition),
      intercepts: simulator.intercepts(partition),
      results: simulator.interceptResults(partition),
    };
  }

  view(partition: Partition): DriverView | undefined {
    if (partition.closed) return undefined;
    const simulator = this.#simulator;
    return {
      armed: simulator.irqFds(partition).map(({ gsi }) => gsi),
      routes: simulator.routes(partition).map(({ gsi, address, data }) => [gsi, address, data]),
      mappings: simulator.memory(partition),
      doorbells: simulator.doorbells(partition),
    };
  }

  violations(): readonly string[] {
    this.#look();
    return this.#oops;
  }

  lost(): readonly number[] {
    return [];
  }

  record(faults: Faults): void {
    const [first] = faults;
    if (first === undefined) {
      this.native.simFailSystemCall(0, 0);
    } else {
      const [index, { errno }] = first;
      this.native.simFailSystemCall(errnoOf(errno), index);
    }
  }

  recorded(): readonly Step[] {
    const names = this.native.simSystemCalls().split(' ').slice(0, -1);
    return names.map((text, i) => {
      const name = ioctlNames.get(text) ?? systemCallArgument(text);
      return {
        name,
        purpose: name,
        faults: faultsOfCall(name),
        ioctl: isIoctl(name) ? name : undefined,
        undoes: false,
        last: i === names.length - 1,
      };
    });
  }

  close(): void {
    this.#look();
    this.#simulator.close();
  }

  #look(): void {
    const oops = this.#simulator.closed ? undefined : this.#simulator.oops;
    if (oops !== undefined) this.#oops = [oops];
  }
}
