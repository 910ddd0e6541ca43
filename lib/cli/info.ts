import { limits } from '../abi/limits.js';
import {
  explainOpenFailure,
  readSystemFile,
  type OpenFailureCause,
  type ReadSystemFile,
} from '../device/availability.js';
import type { HostProperties } from '../device/host-properties.js';
import { devicePath, Mshv } from '../device/mshv.js';
import type { DriverGeneration } from '../device/partition.js';
import { MshvError } from '../errors.js';
import { lowestFixedVector } from '../irq/msi.js';
import { linuxNative, type Native } from '../native.js';
import { type Circumstances, circumstancesOf } from './circumstances.js';
import { parseOptions } from './command-line.js';
import type { Command } from './command.js';
import { renderTable } from './table.js';
import { widthOf } from './terminal.js';

/** What `mshv info --json` prints. Keys are only ever added. */
export interface Info extends Circumstances {
  readonly device: DeviceInfo;
  /** Null where there is no device. */
  readonly driver: DriverInfo | null;
  /** Null where there is no device. */
  readonly host: HostInfo | null;
  readonly limits: {
    readonly vpsPerPartition: number;
    readonly lowestGsi: number;
    readonly highestGsi: number;
    readonly lowestVector: number;
    readonly highestVector: number;
    /** Of this process: `descriptorsNeeded` says what a run needs. Null where it is unlimited or not known. */
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

/**
 * `Mshv.hostProperties()` as JSON has it: quantities of 64 bits as `'0x…'`, null where the host does
 * not tell.
 */
export type HostInfo = {
  readonly [Key in keyof HostProperties]: JsonOf<Exclude<HostProperties[Key], undefined>> | null;
};

type JsonOf<Value> = Value extends bigint
  ? string
  : Value extends readonly [bigint, bigint]
    ? readonly [string, string]
    : Value;

/** Looks at the machine; opens the device and creates a partition where it can, and closes both. */
export function collectInfo(
  native: Native = linuxNative(),
  read: ReadSystemFile = readSystemFile,
  args: readonly string[] = [],
): Info {
  const openFiles = /^Max open files +(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1];
  return {
    ...circumstancesOf(args),
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

function probeDevice(
  native: Native,
  read: ReadSystemFile,
): Pick<Info, 'device' | 'driver' | 'host'> {
  const path = devicePath;
  let device: Mshv;
  try {
    device = Mshv.open({ path, native });
  } catch (error) {
    if (!(error instanceof MshvError) || error.errno === undefined) {
      throw error;
    }
    const { code, errno } = error;
    const failure = explainOpenFailure(path, errno, read);
    return { device: { path, available: false, code, ...failure }, driver: null, host: null };
  }
  try {
    return {
      device: { path, available: true, code: null, cause: null, reason: null, remedy: null },
      driver: probeDriver(device),
      host: hostInfo(device.hostProperties()),
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

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function hostInfo(host: HostProperties): HostInfo {
  const quantity = (value: bigint | undefined): string | null =>
    value === undefined ? null : hex(value);
  const { processorFeatures: banks } = host;
  return {
    processorVendor: host.processorVendor ?? null,
    processorFeatures: banks === undefined ? null : [hex(banks[0]), hex(banks[1])],
    xsaveFeatures: quantity(host.xsaveFeatures),
    xsaveStates: quantity(host.xsaveStates),
    maxXsaveDataSize: host.maxXsaveDataSize ?? null,
    clFlushSize: host.clFlushSize ?? null,
    processorClockFrequency: quantity(host.processorClockFrequency),
    physicalAddressWidth: host.physicalAddressWidth ?? null,
    implementedPhysicalAddressBits: host.implementedPhysicalAddressBits ?? null,
    privilegeFlags: quantity(host.privilegeFlags),
    syntheticFeatures: host.syntheticFeatures ?? null,
    assignableSyntheticFeatures: host.assignableSyntheticFeatures ?? null,
    vmmCapabilities: host.vmmCapabilities ?? null,
    compatibilityVersion: host.compatibilityVersion ?? null,
    virtualizationFeatures: quantity(host.virtualizationFeatures),
    integratedScheduler: host.integratedScheduler ?? null,
  };
}

/** Rows for what the host tells; none for what it does not. */
function hostRows(host: HostInfo): [string, string][] {
  const megahertz = (hertz: string): string => `${Number(BigInt(hertz)) / 1e6} MHz`;
  const row = <Value>(
    title: string,
    value: Value | null,
    text: (value: Value) => string,
  ): [string, string][] => (value === null ? [] : [[title, text(value)]]);
  const list = (names: readonly string[]): string =>
    names.length === 0 ? 'none' : names.join(', ');
  const processor = [
    ...row('', host.processorVendor, (vendor) =>
      typeof vendor === 'number' ? `vendor ${vendor}` : vendor,
    ),
    ...row('', host.processorClockFrequency, megahertz),
    ...row('', host.physicalAddressWidth, (bits) => `${bits}-bit physical addresses`),
  ].map(([, text]) => text);
  return [
    ...(processor.length === 0
      ? []
      : ([['Processor', processor.join(', ')]] as [string, string][])),
    ...row('Features', host.processorFeatures, (banks) => banks.join(' ')),
    ...row('XSAVE', host.xsaveFeatures, (features) =>
      [
        `features ${features}`,
        ...(host.xsaveStates === null ? [] : [`states ${host.xsaveStates}`]),
        ...(host.maxXsaveDataSize === null ? [] : [`${host.maxXsaveDataSize} bytes`]),
      ].join(', '),
    ),
    ...row('Privileges', host.privilegeFlags, String),
    ...row('Assignable', host.assignableSyntheticFeatures, list),
    ...row('VMM', host.vmmCapabilities, list),
  ];
}

const generations: Readonly<Record<DriverGeneration, string>> = {
  v1: 'v1: creates partitions without feature banks',
  v2: 'v2: creates partitions with feature banks',
};

/** The same for people, so many columns wide. */
export function describeInfo(
  { version, node, kernel, arch, cpu, cpus, device, driver, host, limits }: Info,
  width: number,
): string {
  const rows: [string, string][] = [
    ['Machine', `${kernel} ${arch}, Node ${node}`],
    ['CPU', `${cpus} × ${cpu ?? 'a processor without a name'}`],
  ];
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
  if (host !== null) {
    rows.push(...hostRows(host));
  }
  const { vpsPerPartition, lowestGsi, highestGsi, lowestVector, highestVector, openFiles } = limits;
  rows.push(
    [
      'Limits',
      `${vpsPerPartition} VPs and GSIs ${lowestGsi} to ${highestGsi} a partition, ` +
        `vectors ${lowestVector} to ${highestVector}`,
    ],
    [
      'Open files',
      openFiles === null
        ? 'no limit'
        : `${openFiles} (ulimit -n; a route takes one, on the simulator two)`,
    ],
  );
  return renderTable(
    [
      { title: 'mshv', align: 'left', value: ([name]) => name },
      { title: version, align: 'left', wraps: true, value: ([, value]) => value },
    ],
    rows,
    width,
  );
}

const options = { json: { type: 'boolean', summary: 'one JSON object' } } as const;

export const info: Command = {
  name: 'info',
  summary: 'the device, or why there is none; the host',
  usage: '[--json]',
  help: `  --json   one JSON object with stable keys

Exit status: 0 the device can be opened, 1 it cannot,
2 wrong usage.
`,
  options,
  run(args, { stdout }) {
    const { json = false } = parseOptions(args, options);
    const found = collectInfo(undefined, undefined, ['info', ...args]);
    const text = json ? JSON.stringify(found, undefined, 2) : describeInfo(found, widthOf(stdout));
    stdout.write(`${text}\n`);
    return found.device.available ? 0 : 1;
  },
};
