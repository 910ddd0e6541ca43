import { constants } from 'node:os';
import { beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { vpStateTypes } from '../../../lib/abi/vp-state.js';
import { failAt } from '../../fake-native.js';
import { errorOf } from '../../thrown-by.js';
import { host, vp, fake, setUp, names } from './vp-on-host.js';

// The registers, the pages and the state of a Vp, whatever the addon returns.

const { EACCES, EAGAIN, EBUSY } = constants.errno;
const { EINVAL, EIO, ENODEV, ENOMEM, ENOTSUP, EPERM } = constants.errno;

beforeEach(setUp);

describe('registers', () => {
  beforeEach(() => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    expect(vp.registerPage?.valid).toBe(true);
    host.native.record();
  });

  /** How many registers each hypercall had. */
  const reps = () =>
    host.native.calls.flatMap(({ name, args }) => (name === 'hypercall' ? [args[2]] : []));

  it('of a valid register page take no hypercall, and others take one', () => {
    vp.setRegisters({ RAX: 1n, RIP: 2n, XMM5: 2n ** 100n });
    const now = vp.getRegisters(['RIP', 'XMM5', 'RAX']);
    expect(now).toEqual({ RAX: 1n, RIP: 2n, XMM5: 2n ** 100n });
    expect(reps()).toEqual([]);
    vp.setRegisters({ RBX: 3n, LSTAR: 4n, RCX: 5n, XMM6: 6n });
    expect(vp.getRegisters(['CR0', 'RBX', 'LSTAR'])).toMatchObject({ RBX: 3n });
    expect(reps()).toEqual([2, 2]);
  });

  it('are the hypervisor’s while the VP runs elsewhere, and where it begins to meanwhile', () => {
    fake.running = true;
    vp.setRegisters({ RAX: 1n, LSTAR: 2n });
    vp.getRegisters(['RAX']);
    expect(reps()).toEqual([2, 1]);
    fake.running = false;
    host.native.record();
    host.native.hypervisor = () => {
      fake.running = true;
      return undefined;
    };
    vp.setRegisters({ RAX: 1n, LSTAR: 2n, RBX: 3n });
    expect(reps()).toEqual([1, 2]);
    expect(new DataView(fake.pages[0]?.buffer ?? new ArrayBuffer(8)).getUint32(4, true)).toBe(0);
  });
});

describe('pages', () => {
  it.each(['registerPage', 'interceptPage'] as const)('%s may be missing', (name) => {
    fake.pages[0] = undefined;
    fake.pages[1] = undefined;
    expect(vp[name]).toBeUndefined();
    host.native.record();
    expect(vp[name]).toBeUndefined();
    expect(names()).toEqual([]);
  });

  describe.each(['registerPage', 'interceptPage'] as const)('%s is missing', (name) => {
    it.each([ENODEV, EPERM, EACCES, EINVAL, ENOMEM, EAGAIN, ENOTSUP])(
      'whatever the reason: errno %i',
      (errno) => {
        vp.cancel();
        host.native.record(failAt(errno, 0));
        expect(vp[name]).toBeUndefined();
        expect(vp[name]).toBeUndefined();
        expect(names()).toEqual(['vpPage']);
      },
    );

    it('where the VP has no arbiter', () => {
      host.native.record(failAt(EPERM, 0));
      expect(vp[name]).toBeUndefined();
      expect(names()).toEqual(['vpAttach']);
      vp.cancel();
    });
  });

  it.each([ENODEV, EPERM, EINVAL, ENOMEM])(
    'exits are completed without a register page: errno %i',
    (errno) => {
      fake.queue(encodeMessage('io-port', { access: 'read', size: 1, instructionLength: 1 }));
      const exit = vp.run();
      if (exit?.type !== 'io-port') throw new Error('no exit');
      host.native.record((called) => (called === 'vpPage' ? errno : undefined));
      vp.completeIoPort(exit, 0xff);
      expect(names()).toContain('hypercall');
    },
  );

  it('refuses what does not fit RIP and RFLAGS', () => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    const page = vp.registerPage;
    if (page === undefined) throw new Error('there is no register page');
    for (const wrong of [-1, 2n ** 64n, 1.5]) {
      expect(() => (page.rip = wrong)).toThrow(RangeError);
      expect(() => (page.rflags = wrong)).toThrow(RangeError);
    }
    expect(() => (page.rip = '1' as unknown as bigint)).toThrow(TypeError);
    expect(page.dirty).toBe(0);
  });
});

describe('state', () => {
  beforeEach(() => {
    for (const [type, size] of [4096, 832, 4096, 4096, 200].entries()) {
      fake.states.set(type, new Uint8Array(size).fill(type + 1));
    }
    // MAX_XSAVE_DATA_SIZE.
    host.native.hypervisor = ({ output }) => {
      output[0] = 832 & 0xff;
      output[1] = 832 >> 8;
      return undefined;
    };
  });

  it.each(Object.entries(vpStateTypes))('%s is transferred whole', (name, type) => {
    const kind = name as keyof typeof vpStateTypes;
    const state = vp.getState(kind);
    expect(state).toEqual(fake.states.get(type));
    vp.setState(kind, state.fill(0xee));
    expect(fake.states.get(type)).toEqual(state);
  });

  it.each([
    [EBUSY, { code: 'ERR_MSHV_VP_RUNNING' }],
    [EIO, { code: 'EIO', syscall: 'ioctl' }],
  ])('is refused with errno %i', (errno, error) => {
    vp.cancel();
    host.native.record(failAt(errno, 0, 1));
    expect(errorOf(() => vp.getState('simp'))).toMatchObject({
      ...error,
      ...(errno === EIO ? { ioctl: 'MSHV_GET_VP_STATE' } : {}),
      message: expect.stringContaining('cannot get the simp state of VP 0') as string,
    });
    expect(
      errorOf(() => {
        vp.setState('simp', new Uint8Array(4096));
      }),
    ).toMatchObject({
      ...error,
      ...(errno === EIO ? { ioctl: 'MSHV_SET_VP_STATE' } : {}),
      message: expect.stringContaining('cannot set the simp state of VP 0') as string,
    });
  });

  it('is refused where the driver wants another size than it says', () => {
    fake.states.set(vpStateTypes.xsave, new Uint8Array(1000));
    expect(errorOf(() => vp.getState('xsave'))).toMatchObject({
      code: 'ERR_MSHV_STATE_SIZE',
      message: expect.stringContaining('the driver wants 1000 bytes for it, not 832') as string,
    });
    expect(
      errorOf(() => {
        vp.setState('xsave', new Uint8Array(832));
      }),
    ).toMatchObject({ code: 'ERR_MSHV_STATE_SIZE' });
  });

  it('is cut where the driver has less', () => {
    fake.states.set(vpStateTypes.lapic, new Uint8Array(100).fill(9));
    expect(vp.getState('lapic')).toEqual(new Uint8Array(100).fill(9));
  });
});
