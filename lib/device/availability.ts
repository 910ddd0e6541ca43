import { constants, release } from 'node:os';
import { readFileSync } from 'node:fs';

/** What keeps the device from being opened, for programs. */
export type OpenFailureCause =
  | 'permission'
  | 'descriptors'
  | 'no-node'
  | 'no-hypervisor'
  | 'other-hypervisor'
  | 'ordinary-guest'
  | 'not-loaded'
  | 'no-driver'
  | 'unseen'
  | 'refused';

/** Why the device cannot be opened, and what to do about it. */
export interface OpenFailure {
  /** The same for programs. */
  cause: OpenFailureCause;
  /** One sentence for people, without a stop at its end. */
  reason: string;
  /** What helps against it, likewise. */
  remedy: string;
}

/** Reads a file of the system; undefined where there is none or it is not readable. */
export type ReadSystemFile = (path: string) => string | undefined;

export const readSystemFile: ReadSystemFile = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** The module that has the driver, where it is not built in. */
const moduleName = 'mshv_root';

/**
 * Explains a failed open from what the system shows: the driver's entry in /proc/misc, the module
 * list, the processor flags and the firmware's vendor.
 */
export function explainOpenFailure(
  path: string,
  errno: number,
  read: ReadSystemFile = readSystemFile,
): OpenFailure {
  switch (errno) {
    case -constants.errno.EACCES:
    case -constants.errno.EPERM:
      return {
        cause: 'permission',
        reason: 'you may not open it (the driver makes it 0600, owned by root)',
        remedy: `run as root, or let your group in: chgrp GROUP ${path} && chmod 660 ${path}`,
      };
    case -constants.errno.EMFILE:
    case -constants.errno.ENFILE:
      return {
        cause: 'descriptors',
        reason: 'too many open files',
        remedy: 'raise ulimit -n',
      };
    case -constants.errno.ENOENT:
    case -constants.errno.ENODEV:
    case -constants.errno.ENXIO:
      return explainMissingDevice(path, read);
    default:
      return { cause: 'refused', reason: 'the kernel refused', remedy: 'look at dmesg' };
  }
}

function explainMissingDevice(path: string, read: ReadSystemFile): OpenFailure {
  const misc = /^\s*(\d+) mshv$/m.exec(read('/proc/misc') ?? '');
  if (misc !== null) {
    return {
      cause: 'no-node',
      reason: 'the driver is there but its node is not: a container, or no udev',
      remedy: `start the container with --device /dev/mshv, or mknod ${path} c 10 ${misc[1] ?? ''}`,
    };
  }
  const dmi = read('/sys/class/dmi/id/sys_vendor');
  const cpuinfo = read('/proc/cpuinfo');
  if (dmi === undefined && cpuinfo === undefined) {
    return {
      cause: 'unseen',
      reason: 'there is neither /proc nor /sys here that would say why: a container, or a chroot',
      remedy:
        'mount them (mount -t proc proc /proc), and start a container with --device /dev/mshv',
    };
  }
  const hypervisor = /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo ?? '');
  const vendor = (dmi ?? '').trim();
  if (vendor !== 'Microsoft Corporation') {
    return {
      cause: hypervisor ? 'other-hypervisor' : 'no-hypervisor',
      reason: hypervisor
        ? `this machine runs on another hypervisor (${vendor === '' ? 'its firmware names no vendor' : vendor})`
        : 'this machine does not run on the Microsoft hypervisor',
      remedy: 'use a Hyper-V root or L1VH partition, or the simulator: new Simulator() of mshv/sim',
    };
  }
  if (new RegExp(`^${moduleName} `, 'm').test(read('/proc/modules') ?? '')) {
    return {
      cause: 'ordinary-guest',
      reason: 'the driver is loaded but found no parent partition: this is an ordinary guest',
      remedy: 'use a Hyper-V root or L1VH partition; dmesg | grep mshv says what the driver saw',
    };
  }
  const kernel = release();
  if ((read(`/lib/modules/${kernel}/modules.dep`) ?? '').includes(`/${moduleName}.ko`)) {
    return {
      cause: 'not-loaded',
      reason: 'the driver is not loaded',
      remedy: `modprobe ${moduleName}`,
    };
  }
  if ((read(`/lib/modules/${kernel}/modules.builtin`) ?? '').includes(`/${moduleName}.ko`)) {
    return {
      cause: 'ordinary-guest',
      reason: 'the driver is built in but found no parent partition: this is an ordinary guest',
      remedy: 'use a Hyper-V root or L1VH partition; dmesg | grep mshv says what the driver saw',
    };
  }
  return {
    cause: 'no-driver',
    reason: `kernel ${kernel} has no ${moduleName} driver`,
    remedy: 'install a kernel with CONFIG_MSHV_ROOT (Linux 6.15 or later)',
  };
}
