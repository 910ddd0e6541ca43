import { constants } from 'node:os';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { SharedPartition, Vp } from '../../../lib/index.js';
import { failAt } from '../../fake-native.js';
import { openDescriptors } from '../../open-descriptors.js';
import { errorOf } from '../../thrown-by.js';
import { host, vp, fake, setUp, halt, code, names } from './vp-on-host.js';

// What a Vp makes of each thing that the addon can return. What the driver does is in test/conformance.

const { ECANCELED, EFAULT, EINTR } = constants.errno;
const { EINVAL, EIO, EMFILE, ENODEV, ENOMEM } = constants.errno;

beforeEach(setUp);

describe('attaching', () => {
  it('waits until something needs it', () => {
    vp.getRegisters(['RAX']);
    expect(names()).toEqual(['hypercall']);
    vp.cancel();
    vp.cancel();
    expect(names()).toEqual(['hypercall', 'vpAttach', 'vpCancel', 'vpCancel']);
  });

  it.each<[string, () => unknown]>([
    ['run()', () => vp.run()],
    ['start()', () => vp.start(() => 'stop')],
    [
      'cancel()',
      () => {
        vp.cancel();
      },
    ],
    ['getState()', () => vp.getState('lapic')],
    ['share()', () => vp.share()],
  ])('fails in %s with what the addon says, and is tried again', (_, use) => {
    host.native.record(failAt(EMFILE, 0));
    expect(errorOf(use)).toMatchObject({
      code: 'EMFILE',
      errno: -EMFILE,
      message: expect.stringContaining('cannot prepare VP 0 for running: EMFILE') as string,
    });
    expect(names()).toEqual(['vpAttach']);
    host.native.record();
    vp.cancel();
    expect(names()).toEqual(['vpAttach', 'vpCancel']);
  });
});

describe('run()', () => {
  it('runs again where it was interrupted', () => {
    fake.queue(EINTR, EINTR, halt);
    expect(vp.run()?.type).toBe('halt');
    expect(fake.runs).toBe(3);
  });

  it('returns undefined where it was canceled, once', () => {
    fake.queue(halt);
    vp.cancel();
    expect(vp.run()).toBeUndefined();
    expect(vp.run()?.type).toBe('halt');
  });

  it.each([
    [EIO, 'EIO', 'the hypervisor refused to run it'],
    [EFAULT, 'EFAULT', 'the exit, which is lost'],
    [ENOMEM, 'ENOMEM', 'MSHV_RUN_VP'],
    [EINVAL, 'EINVAL', 'MSHV_RUN_VP'],
  ])('throws errno %i, after one run', (errno, name, text) => {
    fake.queue(errno, halt);
    expect(errorOf(() => vp.run())).toMatchObject({
      name: 'MshvError',
      code: name,
      errno: -errno,
      syscall: 'ioctl',
      ioctl: 'MSHV_RUN_VP',
      message: expect.stringContaining(text) as string,
    });
    expect(fake.runs).toBe(1);
    expect(vp.run()?.type).toBe('halt');
  });

  it('throws ERR_MSHV_VP_RUNNING where another environment runs the VP', () => {
    fake.running = true;
    expect(errorOf(() => vp.run())).toMatchObject({
      code: 'ERR_MSHV_VP_RUNNING',
      message: expect.stringContaining('cannot run VP 0') as string,
    });
  });

  it('leaves nothing to complete where it did not return an exit', () => {
    fake.queue(halt, EIO);
    const exit = vp.run();
    if (exit?.type !== 'halt') throw new Error('the VP did not halt');
    expect(() => vp.run()).toThrow(code('EIO'));
    expect(() => {
      vp.skipInstruction(exit);
    }).toThrow(code('ERR_MSHV_STALE_EXIT'));
  });
});

it('throws where a cancel fails', () => {
  vp.cancel();
  host.native.record(failAt(EINVAL, 0));
  expect(
    errorOf(() => {
      vp.cancel();
    }),
  ).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('cancel VP 0') as string });
});

describe('completing', () => {
  const io = encodeMessage('io-port', {
    access: 'read',
    size: 1,
    rax: 0x1234,
    rip: 0x1000,
    instructionLength: 1,
  });
  const complete = (): void => {
    fake.queue(io);
    const exit = vp.run();
    if (exit?.type !== 'io-port') throw new Error('the VP did not access a port');
    host.native.record((name) => (name === refused ? ENOMEM : undefined));
    vp.completeIoPort(exit, 0xff);
  };
  let refused = '';
  beforeEach(() => {
    refused = '';
  });

  it('goes through the register page where it is valid, without a system call', () => {
    fake.pages[0]?.set([1], registerPageLayout.isValid);
    expect(vp.registerPage?.valid).toBe(true);
    complete();
    expect(names()).toEqual(['vpCompleteExit']);
    expect(vp.registerPage?.get('RAX')).toBe(0x12ffn);
    expect(vp.registerPage?.rip).toBe(0x1001n);
    expect(vp.registerPage?.dirty).toBe(0b11);
  });

  it.each([
    ['is not valid', () => undefined],
    ['is missing', () => (fake.pages[0] = undefined)],
    [
      'cannot be mapped',
      () => {
        refused = 'vpCompleteExit';
      },
    ],
  ])('takes one hypercall where the register page %s', (_, prepare) => {
    prepare();
    complete();
    expect(names()).toEqual(['vpCompleteExit', 'hypercall']);
    const [, call] = host.native.calls;
    expect(call?.args.slice(0, 3)).toEqual([host.partition.fd, 0x51, 2]);
    if (fake.pages[0] !== undefined) expect(vp.registerPage?.dirty).toBe(0);
  });

  it('can be tried again where it was refused', () => {
    fake.queue(io);
    const exit = vp.run();
    if (exit?.type !== 'io-port') throw new Error('the VP did not access a port');
    host.native.hypervisor = () => ({ status: 0x0e, reps: 1 });
    expect(() => {
      vp.completeIoPort(exit, 0xff);
    }).toThrow(expect.objectContaining({ code: 'EINVAL', repsCompleted: 1 }));
    host.native.hypervisor = () => undefined;
    vp.completeIoPort(exit, 0xff);
  });
});

describe('sharing', () => {
  const options = (): { native: typeof host.native } => ({ native: host.native });

  it('gives the same VP to another object, with a partition of its own', () => {
    const received = Vp.receive(vp.share(), options());
    expect(received.index).toBe(0);
    expect(received.fd).not.toBe(vp.fd);
    expect(host.native.vps.of(received.fd)).toBe(fake);
    expect(received.partition).toBeInstanceOf(SharedPartition);
    expect(received.partition.fd).not.toBe(host.partition.fd);
    fake.queue(halt);
    vp.cancel();
    expect(received.run()).toBeUndefined();
    expect(received.run()?.type).toBe('halt');
    const again = Vp.receive(received.share(), options());
    received.close();
    received.close();
    expect(() => received.partition.fd).toThrow(code('ERR_MSHV_CLOSED'));
    expect(vp.closed).toBe(false);
    again.close();
  });

  it('can be taken back, once', () => {
    const before = openDescriptors();
    const token = vp.share();
    expect(openDescriptors()).toBe(before + 3 + 1);
    Vp.receive(token, options()).close();
    expect(openDescriptors()).toBe(before + 1);
    expect(() => Vp.receive(token, options())).toThrow(code('ERR_MSHV_TOKEN_TAKEN'));
    const partition = host.partition.share();
    using shared = SharedPartition.receive(partition, options());
    SharedPartition.receive(shared.share(), options()).close();
    expect(() => SharedPartition.receive(partition, options())).toThrow(
      code('ERR_MSHV_TOKEN_TAKEN'),
    );
    expect(inspect(shared)).toBe(`SharedPartition { fd: ${shared.fd}, closed: false }`);
    shared.close();
    expect(inspect(shared)).toBe('SharedPartition { closed: true }');
  });

  it('leaves nothing open where it cannot be made', () => {
    vp.cancel();
    const before = openDescriptors();
    host.native.record(failAt(EMFILE, 0));
    expect(errorOf(() => vp.share())).toMatchObject({
      code: 'EMFILE',
      message: expect.stringContaining('share VP 0') as string,
    });
    expect(names().at(-1)).toBe('share');
    expect(openDescriptors()).toBe(before);
  });

  it.each([EINVAL, ENOMEM])('is whole where receiving it fails with %i', (errno) => {
    const token = vp.share();
    const before = openDescriptors();
    host.native.record(failAt(errno, 0));
    expect(() => Vp.receive(token, options())).toThrow(expect.objectContaining({ errno: -errno }));
    expect(names().at(-1)).toBe('receive');
    expect(openDescriptors()).toBe(before);
    host.native.record();
    Vp.receive(token, options()).close();
    expect(openDescriptors()).toBe(before - 3);
  });

  it('is refused once the partition is closed', () => {
    host.partition.close();
    expect(() => vp.share()).toThrow(code('ERR_MSHV_CLOSED'));
    expect(() => host.partition.share()).toThrow(code('ERR_MSHV_CLOSED'));
  });

  it('requests interrupts for VPs that the owner has created since', () => {
    using shared = SharedPartition.receive(host.partition.share(), options());
    expect(() => {
      shared.requestMsi(0xfee0f000, 0x41);
    }).toThrow(code('ERR_OUT_OF_RANGE'));
    host.partition.createVp(15);
    shared.requestMsi(0xfee0f000, 0x41);
    expect(host.native.calls.at(-1)?.args[0]).toBe(shared.fd);
  });
});

it('knows ECANCELED as the end of a canceled run only', () => {
  fake.queue(ECANCELED, ENODEV);
  expect(vp.run()).toBeUndefined();
  expect(() => vp.run()).toThrow(code('ENODEV'));
});
