import type { Architecture } from '../abi/architecture.js';
import { explainOpenFailure } from '../device/availability.js';
import { devicePath, Mshv } from '../device/mshv.js';
import type { Partition } from '../device/partition.js';
import { MshvError } from '../errors.js';
import { linuxNative, type Native } from '../native.js';
import { Simulator, type GuestInterrupt } from '../sim/index.js';
import { UsageError } from './command-line.js';

/** The device that a command works on. */
export interface ChosenDevice {
  readonly mshv: Mshv;
  readonly kind: 'device' | 'simulator';
  /** Why it is the simulator although nobody asked for it, or null. */
  readonly why: string | null;
  /** How often MSI routing tables were pushed to the driver so far. */
  tablePushes(): number;
  /**
   * Takes the interrupts that the guest got since the last call, every signal sent before included.
   * Undefined where nobody sees the guest's side.
   */
  readonly takeInterrupts: ((partition: Partition) => readonly GuestInterrupt[]) | undefined;
  close(): void;
}

/**
 * Opens what `--device` names: a path, `sim`, or with `auto` /dev/mshv where it can be opened and the
 * simulator where not.
 *
 * @param architecture - of what is simulated, which only `sim` takes
 * @throws UsageError for a name that is none of these
 * @throws MshvError where the path cannot be opened
 */
export function chooseDevice(choice: string, architecture?: Architecture): ChosenDevice {
  if (choice === 'sim') {
    return simulatedDevice(new Simulator(architecture === undefined ? {} : { architecture }), null);
  }
  if (architecture !== undefined) {
    throw new UsageError(
      `--architecture says what to simulate: it needs --device sim, received '${choice}'`,
    );
  }
  if (choice !== 'auto') {
    if (!choice.includes('/')) {
      throw new UsageError(`--device must be auto, sim or a path with a '/', received '${choice}'`);
    }
    return realDevice(choice);
  }
  try {
    return realDevice(devicePath);
  } catch (error) {
    if (!(error instanceof MshvError) || error.errno === undefined) {
      throw error;
    }
    const { reason } = explainOpenFailure(devicePath, error.errno);
    return simulatedDevice(new Simulator(), `${devicePath} cannot be opened: ${reason}`);
  }
}

export function simulatedDevice(simulator: Simulator, why: string | null): ChosenDevice {
  return {
    mshv: simulator.open(),
    kind: 'simulator',
    why,
    tablePushes: () => simulator.calls('MSHV_SET_MSI_ROUTING'),
    takeInterrupts: (partition) => simulator.interrupts(partition),
    close: () => {
      simulator.close();
    },
  };
}

export function realDevice(path: string, native: Native = linuxNative()): ChosenDevice {
  let pushes = 0;
  const counting: Native = Object.create(native, {
    setMsiRouting: {
      value: (partition: number, table: Uint32Array): number => {
        pushes++;
        return native.setMsiRouting(partition, table);
      },
    },
  }) as Native;
  const mshv = Mshv.open({ path, native: counting });
  return {
    mshv,
    kind: 'device',
    why: null,
    tablePushes: () => pushes,
    takeInterrupts: undefined,
    close: () => {
      mshv.close();
    },
  };
}
