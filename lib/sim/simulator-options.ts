import { architectures, type Architecture } from '../abi/architecture.js';
import type { DriverGeneration } from '../device/partition.js';
import { boolean, choice, defaulting, type OptionTable, type Taken } from '../options.js';

/** The driver's `hv_scheduler_type` for each kind of scheduler that makes a difference to it. */
const schedulers = { hypervisor: 3, root: 4 } as const;

/** What driver and what hypervisor are simulated. */
export interface SimulatorOptions {
  /**
   * What the simulated hypervisor and its guests run on, whatever this machine is: registers, exits, and what the driver
   * makes of an MSI. Default `'x64'`.
   */
  architecture?: Architecture;
  /** Who schedules VPs: the hypervisor, or the root partition's kernel. Default `'hypervisor'`. */
  scheduler?: keyof typeof schedulers;
  /**
   * The hypervisor takes vectors from the VP's register page. The driver uses it with the root
   * scheduler, on x64, for physical destinations. Default false.
   */
  fastInjection?: boolean;
  /** `'v1'`: a driver that refuses the flag for feature banks, as older ones do. Default `'v2'`. */
  driver?: DriverGeneration;
  /**
   * The hypervisor shows registers on the VPs' register pages and takes what is marked dirty there.
   * Without it the pages never become valid: registers go by hypercall. Default true.
   */
  registerPage?: boolean;
  /**
   * What the driver does where the hypervisor lacks memory for a passed-through hypercall:
   * `'continue'` deposits and goes on by itself, `'again'` deposits and returns `EAGAIN`, as older ones
   * do. Default `'continue'`.
   */
  deposits?: 'continue' | 'again';
}

/** What the addon is told, in its terms. */
export const simulatorOptions = {
  architecture: defaulting(choice(architectures), architectures.x64),
  scheduler: defaulting(choice(schedulers), schedulers.hypervisor),
  fastInjection: boolean(false),
  driver: defaulting(choice({ v1: true, v2: false }), false),
  registerPage: boolean(true),
  deposits: defaulting(choice({ continue: true, again: false }), true),
} satisfies OptionTable<SimulatorOptions>;

export type CheckedSimulatorOptions = Taken<typeof simulatorOptions>;
