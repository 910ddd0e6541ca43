import { constants, release } from 'node:os';
import { describe, expect, it } from 'vitest';

import { explainOpenFailure, type OpenFailureCause } from '../../../lib/device/availability.js';

const { EACCES, EBUSY, EMFILE, ENFILE, ENODEV, ENOENT, ENXIO, EPERM } = constants.errno;

type Files = Readonly<Record<string, string>>;

const explain = (errno: number, files: Files = {}, path = '/dev/mshv') =>
  explainOpenFailure(path, -errno, (file) => files[file]);

const misc = (...names: string[]): Files => ({
  '/proc/misc': names.map((name, i) => `${String(60 + i).padStart(3)} ${name}\n`).join(''),
});
const vendor = (name: string): Files => ({ '/sys/class/dmi/id/sys_vendor': `${name}\n` });
const cpu = (...flags: string[]): Files => ({
  '/proc/cpuinfo': `processor\t: 0\nvendor_id\t: x\nflags\t\t: fpu ${flags.join(' ')} vme\n`,
});
const microsoft = { ...vendor('Microsoft Corporation'), ...cpu('hypervisor') };
const modules = `/lib/modules/${release()}`;

describe('explainOpenFailure', () => {
  it.each([EACCES, EPERM])('names the permission for errno %i', (errno) => {
    const { cause, reason, remedy } = explain(errno, {}, '/dev/other');
    expect(cause).toBe('permission');
    expect(reason).toContain('0600');
    expect(remedy).toContain('/dev/other');
  });

  it.each([EMFILE, ENFILE])('names the limit for errno %i', (errno) => {
    expect(explain(errno)).toEqual({
      cause: 'descriptors',
      reason: 'too many open files',
      remedy: 'raise ulimit -n',
    });
  });

  it('sends to dmesg for an errno that it does not know', () => {
    expect(explain(EBUSY, microsoft)).toEqual({
      cause: 'refused',
      reason: 'the kernel refused',
      remedy: 'look at dmesg',
    });
  });

  describe.each([ENOENT, ENODEV, ENXIO])('for errno %i', (errno) => {
    it.each<[string, OpenFailureCause, Files, string, string]>([
      [
        'a driver without a node',
        'no-node',
        { ...misc('fuse', 'mshv'), ...microsoft },
        'the driver is there but its node is not',
        'mknod /dev/mshv c 10 61',
      ],
      [
        'a driver without a node, in a container that sees little else',
        'no-node',
        misc('mshv'),
        'the driver is there but its node is not',
        '--device /dev/mshv',
      ],
      [
        'another hypervisor',
        'other-hypervisor',
        { ...misc('kvm', 'mshv_vtl'), ...vendor('QEMU'), ...cpu('hypervisor') },
        'another hypervisor (QEMU)',
        'new Simulator()',
      ],
      [
        'another hypervisor without a name',
        'other-hypervisor',
        cpu('hypervisor'),
        'another hypervisor (its firmware names no vendor)',
        'new Simulator()',
      ],
      [
        'no hypervisor',
        'no-hypervisor',
        { ...misc('kvm'), ...vendor('Dell Inc.'), ...cpu('hypervisorless') },
        'does not run on the Microsoft hypervisor',
        'new Simulator()',
      ],
      ['a machine that shows nothing', 'unseen', {}, 'neither /proc nor /sys', 'mount -t proc'],
      [
        'a guest with the module loaded',
        'ordinary-guest',
        { ...microsoft, '/proc/modules': 'snd 1 0 - Live 0x0\nmshv_root 65536 0 - Live 0x0\n' },
        'the driver is loaded but found no parent partition',
        'dmesg | grep mshv',
      ],
      [
        'a module that is not loaded',
        'not-loaded',
        {
          ...microsoft,
          '/proc/modules': 'mshv_root_like 65536 0 - Live 0x0\n',
          [`${modules}/modules.dep`]: 'kernel/drivers/hv/mshv_root.ko.zst: kernel/virt/lib/x.ko\n',
        },
        'the driver is not loaded',
        'modprobe mshv_root',
      ],
      [
        'a guest with the driver built in',
        'ordinary-guest',
        { ...microsoft, [`${modules}/modules.builtin`]: 'kernel/drivers/hv/mshv_root.ko\n' },
        'the driver is built in but found no parent partition',
        'dmesg | grep mshv',
      ],
      [
        'a kernel without the driver',
        'no-driver',
        {
          ...microsoft,
          [`${modules}/modules.dep`]: 'kernel/drivers/hv/hv_balloon.ko:\n',
          [`${modules}/modules.builtin`]: 'kernel/drivers/hv/hv_vmbus.ko\n',
        },
        `kernel ${release()} has no mshv_root driver`,
        'CONFIG_MSHV_ROOT',
      ],
    ])('tells %s', (_, cause, files, reason, remedy) => {
      const explained = explain(errno, files);
      expect(explained.cause).toBe(cause);
      expect(explained.reason).toContain(reason);
      expect(explained.remedy).toContain(remedy);
    });
  });

  it('looks at this machine where it is given no files', () => {
    const { reason, remedy } = explainOpenFailure('/dev/mshv', -ENOENT);
    expect(reason).not.toBe('');
    expect(remedy).not.toBe('');
  });
});
