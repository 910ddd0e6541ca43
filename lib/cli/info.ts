import { arch, release, type } from 'node:os';

import { limits } from '../abi/limits.js';
import {
  explainOpenFailure,
  readSystemFile,
  type OpenFailureCause,
  type ReadSystemFile,
} from '../device/availability.js';
import { devicePath, Mshv } from '../device/mshv.js';
import type { DriverGeneration } from '../device/partition.js';
import { MshvError } from '../errors.js';
import { lowestFixedVector } from '../irq/msi.js';
import { linuxNative, type Native } from '../native.js';
import { parseOptions } from './command-line.js';
import { packageVersion } from './package-version.js';
import type { Command } from './program.js';
import { renderTable } from './table.js';

/** What `mshv info --json` prints. Keys are only ever added. */
export interface Info {
  readonly version: string;
  readonly node: string;
  readonly kernel: string;
  readonly arch: string;
  readonly device: DeviceInfo;
  /** Null where there is no device. */
  readonly driver: DriverInfo | null;
  readonly limits: {
    readonly vpsPerPartition: number;
    readonly lowestGsi: number;
    readonly highestGsi: number;
    readonly lowestVector: number;
    readonly highestVector: number;
    /** Of this process, each route takes one; null where it is unlimited or not known. */
    readonly openFiles: number | null;
  };
}

/** Whether the device can be opened; if not, everything else says why. */
export interface DeviceInfo {
  readonly path: string;
  readonly available: boolean;
  readonly code: string | null;
  readonly cause: OpenFailureCause | null;
  readonly reason: string | null;
  readonly remedy: string | null;
}

/** What creating a partition, closed again at once, has shown. */
export interface DriverInfo {
  readonly generation: DriverGeneration | null;
  /** Why no partition could be created, or null. */
  readonly error: string | null;
}

/** Looks at the machine; opens the device and creates a partition where it can, and closes both. */
export function collectInfo(
  native: Native = linuxNative(),
  read: ReadSystemFile = readSystemFile,
): Info {
  const openFiles = /^Max open files +(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1];
  return {
    version: packageVersion(),
    node: process.version,
    kernel: `${type()} ${release()}`,
    arch: arch(),
    ...probeDevice(native, read),
    limits: {
      vpsPerPartition: limits.MSHV_MAX_VPS,
      lowestGsi: 1,
      highestGsi: limits.MSHV_MAX_GUEST_IRQS - 1,
      lowestVector: lowestFixedVector,
      highestVector: 255,
      openFiles: openFiles === undefined ? null : Number(openFiles),
    },
  };
}

function probeDevice(native: Native, read: ReadSystemFile): Pick<Info, 'device' | 'driver'> {
  const path = devicePath;
  let device: Mshv;
  try {
    device = Mshv.open({ path, native });
  } catch (error) {
    if (!(error instanceof MshvError)) {
      throw error;
    }
    const { code, errno } = error;
    const failure = explainOpenFailure(path, errno, read);
    return { device: { path, available: false, code, ...failure }, driver: null };
  }
  try {
    return {
      device: { path, available: true, code: null, cause: null, reason: null, remedy: null },
      driver: probeDriver(device),
    };
  } finally {
    device.close();
  }
}

function probeDriver(device: Mshv): DriverInfo {
  try {
    return { generation: device.createPartition().generation, error: null };
  } catch (error) {
    if (!(error instanceof MshvError)) {
      throw error;
    }
    return { generation: null, error: error.message };
  }
}

const generations: Readonly<Record<DriverGeneration, string>> = {
  v1: 'v1: creates partitions without feature banks',
  v2: 'v2: creates partitions with feature banks',
};

/** The same for people, at most 80 columns. */
export function describeInfo({
  version,
  node,
  kernel,
  arch,
  device,
  driver,
  limits,
}: Info): string {
  const rows: [string, string][] = [['Machine', `${kernel} ${arch}, Node ${node}`]];
  if (device.available) {
    rows.push(['Device', `${device.path} can be opened`]);
  } else {
    rows.push(
      ['Device', `${device.path} cannot be opened (${device.code ?? ''})`],
      ['Why', device.reason ?? ''],
      ['Remedy', device.remedy ?? ''],
    );
  }
  if (driver !== null) {
    const { generation, error } = driver;
    rows.push(['Driver', generation === null ? (error ?? '') : generations[generation]]);
  }
  const { vpsPerPartition, lowestGsi, highestGsi, lowestVector, highestVector, openFiles } = limits;
  rows.push(
    [
      'Limits',
      `${vpsPerPartition} VPs and GSIs ${lowestGsi} to ${highestGsi} a partition, ` +
        `vectors ${lowestVector} to ${highestVector}`,
    ],
    ['Open files', openFiles === null ? 'no limit' : `${openFiles} (ulimit -n; a route takes one)`],
  );
  return renderTable(
    [
      { title: 'mshv', align: 'left', value: ([name]) => name },
      { title: version, align: 'left', width: 66, value: ([, value]) => value },
    ],
    rows,
  );
}

export const info: Command = {
  name: 'info',
  summary: 'whether this machine has the device, or why not; driver and limits',
  usage: '[--json]',
  help: `  --json   one JSON object with stable keys

Exit status: 0 the device can be opened, 1 it cannot, 2 wrong usage.
`,
  run(args, { stdout }) {
    const { json = false } = parseOptions(args, { json: { type: 'boolean' } });
    const found = collectInfo();
    stdout.write(`${json ? JSON.stringify(found, undefined, 2) : describeInfo(found)}\n`);
    return found.device.available ? 0 : 1;
  },
};
