import { constants } from 'node:os';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { explainOpenFailure } from '../../../lib/device/availability.js';
import { partitionFlags } from '../../../lib/abi/partition.js';
import { Mshv, MshvError, type PartitionOptions } from '../../../lib/index.js';
import { FakeNative, type FallibleCall } from '../../fake-native.js';
import { openDescriptors } from '../../open-descriptors.js';
import { FakeHost } from '../fake-host.js';

const { EEXIST, EINTR, EINVAL, EIO, ENOENT, ENOMEM, ENOTTY } = constants.errno;

function opened(): { native: FakeNative; device: Mshv } {
  const native = new FakeNative();
  const device = Mshv.open({ native });
  native.record();
  return { native, device };
}

/** Fails the first `times` calls of a kind. */
const fails = (kind: FallibleCall, errno: number, times = Infinity) => {
  let left = times;
  return (name: FallibleCall) => (name === kind && left-- > 0 ? errno : undefined);
};

describe('Mshv.open()', () => {
  it('opens /dev/mshv or what it is told to', () => {
    const native = new FakeNative();
    using device = Mshv.open({ native });
    using other = Mshv.open({ native, path: '/dev/other' });
    expect(native.calls.map(({ args }) => args)).toEqual([['/dev/mshv'], ['/dev/other']]);
    expect([device.path, other.path]).toEqual(['/dev/mshv', '/dev/other']);
    expect(device.closed).toBe(false);
  });

  it('says why there is no device and what to do', () => {
    const native = new FakeNative();
    native.record(fails('open', ENOENT));
    const before = openDescriptors();
    expect(() => Mshv.open({ native })).toThrow(
      expect.objectContaining({
        name: 'MshvError',
        code: 'ENOENT',
        errno: -ENOENT,
        syscall: 'open',
        cause: explainOpenFailure('/dev/mshv', -ENOENT),
        message: expect.stringMatching(
          /^cannot open \/dev\/mshv: ENOENT \(open\): .+; .+/,
        ) as string,
      }),
    );
    expect(openDescriptors()).toBe(before);
  });

  it('says so of a path that does not exist, on the real addon', () => {
    expect(() => Mshv.open({ path: '/dev/mshv-that-is-not-there' })).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'open' }),
    );
  });
});

describe('createPartition()', () => {
  const { LAPIC, X2APIC, GPA_SUPER_PAGES, NESTED_VIRTUALIZATION, SMT_ENABLED_GUEST } =
    partitionFlags;

  it.each<[PartitionOptions, bigint]>([
    [{}, LAPIC | GPA_SUPER_PAGES],
    [{ lapic: false, gpaSuperPages: false }, 0n],
    [{ x2apic: true }, LAPIC | GPA_SUPER_PAGES | X2APIC],
    [{ nestedVirtualization: true }, LAPIC | GPA_SUPER_PAGES | NESTED_VIRTUALIZATION],
    [{ smt: true }, LAPIC | GPA_SUPER_PAGES | SMT_ENABLED_GUEST],
  ])('turns %o into flags', (options, flags) => {
    const { native, device } = opened();
    using partition = device.createPartition(options);
    expect(partition.generation).toBe('v2');
    expect(native.partitions.get(partition.fd)).toMatchObject({
      flags: flags | partitionFlags.CPU_AND_XSAVE_FEATURES,
      features: [0n, 0n, 0n],
    });
    device.close();
  });

  it('hands over the features to disable', () => {
    const { native, device } = opened();
    const { fd } = device.createPartition({
      disabledCpuFeatures: [1, 2n ** 64n - 1n],
      disabledXsaveFeatures: 4n,
    });
    expect(native.partitions.get(fd)?.features).toEqual([1n, 2n ** 64n - 1n, 4n]);
    device.close();
  });

  it('goes back to v1 where the driver refuses v2', () => {
    const { native, device } = opened();
    native.record(fails('createPartitionV2', EINVAL));
    const partition = device.createPartition({ smt: true });
    expect(partition.generation).toBe('v1');
    expect(native.partitions.get(partition.fd)).toMatchObject({
      flags: LAPIC | GPA_SUPER_PAGES | SMT_ENABLED_GUEST,
      features: undefined,
    });
    device.close();
  });

  it.each<PartitionOptions>([{ disabledCpuFeatures: [0, 0] }, { disabledXsaveFeatures: 0 }])(
    'does not go back to v1 with %o, which v1 would ignore',
    (options) => {
      const { native, device } = opened();
      native.record(fails('createPartitionV2', EINVAL));
      expect(() => device.createPartition(options)).toThrow(
        expect.objectContaining({
          code: 'EINVAL',
          ioctl: 'MSHV_CREATE_PARTITION',
          message: expect.stringContaining('too old to disable any') as string,
        }),
      );
      expect(native.count('createPartition')).toBe(0);
      device.close();
    },
  );

  it('is EINVAL where the driver refuses both', () => {
    const { native, device } = opened();
    native.record((name) => (name.startsWith('createPartition') ? EINVAL : undefined));
    expect(() => device.createPartition()).toThrow(
      expect.objectContaining({
        code: 'EINVAL',
        message: 'cannot create a partition: EINVAL (MSHV_CREATE_PARTITION)',
      }),
    );
    expect(native.calls).toHaveLength(2);
    device.close();
  });

  it.each(['createPartitionV2', 'createPartition'] as const)(
    'tries %s up to five times where signals interrupt it',
    (kind) => {
      const { native, device } = opened();
      const refusesV2 = kind === 'createPartition';
      const interrupted = (times: number): void => {
        const fault = fails(kind, EINTR, times);
        native.record((name) => (refusesV2 && name === 'createPartitionV2' ? EINVAL : fault(name)));
      };
      interrupted(4);
      device.createPartition().close();
      expect(native.count(kind)).toBe(5);
      interrupted(5);
      expect(() => device.createPartition()).toThrow(
        expect.objectContaining({
          code: 'EINTR',
          message: expect.stringContaining('signals interrupted it 5 times') as string,
        }),
      );
      expect(native.count(kind)).toBe(5);
      device.close();
    },
  );

  it.each([
    [ENOTTY, 'ENOTTY', /: this is not the mshv device$/],
    [ENOMEM, 'ENOMEM', /ENOMEM \(MSHV_CREATE_PARTITION\)$/],
  ])('reports errno %i', (errno, code, message) => {
    const { native, device } = opened();
    native.record(fails('createPartitionV2', errno));
    expect(() => device.createPartition()).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
    device.close();
  });
});

describe('Partition', () => {
  it('creates VPs once it is initialized', () => {
    using host = new FakeHost();
    const partition = host.device.createPartition();
    expect(() => partition.createVp(0)).toThrow(
      expect.objectContaining({
        code: 'EIO',
        ioctl: 'MSHV_CREATE_VP',
        message: expect.stringContaining('was the partition initialized?') as string,
      }),
    );
    expect(partition.vps).toEqual([]);
    partition.initialize();
    const last = partition.createVp(255);
    const first = partition.createVp(0);
    expect(partition.vps).toEqual([first, last]);
    expect([first.index, last.index]).toEqual([0, 255]);
  });

  it('keeps the index of a closed VP', () => {
    using host = new FakeHost();
    const { partition } = host;
    const [vp] = partition.vps;
    if (vp === undefined) throw new Error('no VP');
    expect(inspect(vp)).toBe('Vp { index: 0, closed: false }');
    const before = openDescriptors();
    vp.close();
    vp[Symbol.dispose]();
    expect(openDescriptors()).toBe(before - 1);
    expect(vp.closed).toBe(true);
    expect(inspect(vp)).toBe('Vp { index: 0, closed: true }');
    expect(partition.vps).toContain(vp);
    host.native.record();
    expect(() => partition.createVp(0)).toThrow(
      expect.objectContaining({
        code: 'EEXIST',
        errno: -EEXIST,
        message: expect.stringContaining('a closed VP keeps its index') as string,
      }),
    );
    // The hypervisor has it still: it can be a destination.
    expect(partition.irqfd.newRoute({ msi: { address: 0xfee00000, data: 0x41 } }).armed).toBe(true);
  });

  it('reports what the hypervisor refuses', () => {
    using host = new FakeHost();
    host.native.record(fails('initializePartition', ENOMEM));
    expect(() => {
      host.partition.initialize();
    }).toThrow(expect.objectContaining({ code: 'ENOMEM', ioctl: 'MSHV_INITIALIZE_PARTITION' }));
  });

  it('shows what it has', () => {
    using host = new FakeHost();
    const { partition } = host;
    partition.irqfd.newRoute();
    expect(inspect(partition)).toBe(
      `Partition { fd: ${partition.fd}, vps: 4, routes: 1, closed: false }`,
    );
    expect(inspect(partition.irqfd)).toBe('IrqFd { routes: 1, gsisInUse: 1, quarantined: 0 }');
    partition.close();
    expect(inspect(partition)).toBe('Partition { closed: true }');
  });
});

describe('closing the device', () => {
  it('happens at the end of a scope, as it does to partitions and VPs', () => {
    const { device } = opened();
    const ended: { readonly closed: boolean }[] = [device];
    {
      using scoped = device;
      using partition = scoped.createPartition();
      partition.initialize();
      using vp = partition.createVp(0);
      ended.push(partition, vp);
      {
        using inner = scoped.createPartition();
        ended.push(inner);
      }
      expect(ended.map(({ closed }) => closed)).toEqual([false, false, false, true]);
    }
    expect(ended.every(({ closed }) => closed)).toBe(true);
  });

  it('leaves a VP that ended with its scope to its partition', () => {
    using host = new FakeHost();
    const before = openDescriptors();
    {
      using vp = host.partition.createVp(9);
      expect(vp.closed).toBe(false);
    }
    expect(openDescriptors()).toBe(before);
    expect(host.partition.vps.at(-1)).toMatchObject({ index: 9, closed: true });
  });

  it('closes partitions, last created first, their routes and their VPs', () => {
    const before = openDescriptors();
    const host = new FakeHost();
    const { device, native } = host;
    const second = device.createPartition();
    const routes = [host.partition, second].map(({ irqfd }) => irqfd.newRoute());
    const third = device.createPartition();
    third.close();
    const fds = [second.fd, host.partition.fd];
    const closings: number[] = [];
    const close = native.close.bind(native);
    native.close = (fd) => {
      if (native.partitions.has(fd)) closings.push(fd);
      return close(fd);
    };
    device.close();
    device.close();
    expect(closings).toEqual(fds);
    expect(device.closed).toBe(true);
    for (const { closed } of [host.partition, second, ...routes, ...host.partition.vps]) {
      expect(closed).toBe(true);
    }
    expect(openDescriptors()).toBe(before);
  });

  const refused = (partitions: number): { error: unknown; device: Mshv } => {
    const before = openDescriptors();
    const { native, device } = opened();
    for (let i = 0; i < partitions; i++) {
      const partition = device.createPartition();
      partition.initialize();
      partition.createVp(0);
      partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data: 0x41 } });
    }
    native.record(fails('irqfd', EIO));
    let error: unknown;
    try {
      device.close();
    } catch (thrown) {
      error = thrown;
    }
    expect(device.closed).toBe(true);
    expect(openDescriptors()).toBe(before);
    return { error, device };
  };

  it('closes all the same where a route cannot be disarmed, and throws that error', () => {
    const { error } = refused(1);
    expect(error).toBeInstanceOf(MshvError);
    expect(error).toMatchObject({ code: 'EIO', ioctl: 'MSHV_IRQFD' });
  });

  it('throws one flat error where partitions have several', () => {
    const { native, device } = opened();
    for (let i = 0; i < 2; i++) {
      const partition = device.createPartition();
      partition.initialize();
      partition.createVp(0);
      for (const data of [0x41, 0x42]) {
        partition.irqfd.newRoute({ msi: { address: 0xfee00000n, data } });
      }
    }
    native.record(fails('irqfd', EIO));
    expect(() => {
      device.close();
    }).toThrow(
      expect.objectContaining({
        code: 'ERR_MSHV_UNCLEAN_CLOSE',
        message: 'Mshv is closed, but 4 steps of closing it failed',
        cause: expect.objectContaining({
          errors: Array.from(
            { length: 4 },
            () => expect.objectContaining({ code: 'EIO' }) as Error,
          ),
        }) as Error,
      }),
    );
    expect(device.closed).toBe(true);
  });

  it('throws one error where several partitions have one', () => {
    const { error } = refused(3);
    expect(error).toMatchObject({
      code: 'ERR_MSHV_UNCLEAN_CLOSE',
      cause: { errors: [{ code: 'EIO' }, { code: 'EIO' }, { code: 'EIO' }] },
    });
  });
});
