import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';

import { hvStatusCodes, hvStatusName } from '../../../lib/abi/hv-status.js';
import { hypercalls, type HypercallName } from '../../../lib/abi/hypercalls.js';
import { x64Registers } from '../../../lib/abi/x64-registers.js';
import { MshvError, type PartitionCalls } from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { Simulator } from '../../../lib/sim/index.js';
import type { FakeAnswer, FakeHypercall } from '../../fake-native.js';
import { FakeHost } from '../fake-host.js';
import { thrownBy } from '../../thrown-by.js';

// How a hypercall is finished, whoever makes it: in parts, after deposits, after signals, and when not.

const { EAGAIN, EBUSY, EFAULT, EINTR, EINVAL, ENOMEM, ENOTTY, EPERM } = constants.errno;
const EBADFD = 77;
const { HV_STATUS_INSUFFICIENT_MEMORY, HV_STATUS_INVALID_REGISTER_VALUE } = hvStatusCodes;

/** A hypervisor that answers from a list, then with success, and keeps what it was asked. */
function answering(host: FakeHost, ...answers: (FakeAnswer | undefined)[]): FakeHypercall[] {
  const asked: FakeHypercall[] = [];
  host.native.record();
  host.native.hypervisor = (call) => {
    asked.push(call);
    return answers.shift();
  };
  return asked;
}

const clear = (calls: PartitionCalls): unknown =>
  calls.hypercall({ code: 'HVCALL_CLEAR_VIRTUAL_INTERRUPT', input: new Uint8Array(8) });

/** The names, or numbers of pages, that a rep call was asked for. */
const namesOf = ({ input, reps }: FakeHypercall): number[] =>
  Array.from({ length: reps }, (_, i) => new DataView(input.buffer).getUint32(16 + 4 * i, true));
const elementsOf = ({ input, reps }: FakeHypercall): number[] =>
  Array.from({ length: reps }, (_, i) => new DataView(input.buffer).getUint32(16 + 32 * i, true));
const upTo = (count: number, from = 0): Uint32Array =>
  Uint32Array.from({ length: count }, (_, i) => from + i);

describe('a simple call', () => {
  it('is one, with the input it was given and as much output as was asked for', () => {
    using host = new FakeHost();
    const asked: FakeHypercall[] = [];
    host.native.hypervisor = (call) => {
      asked.push(call);
      call.output.forEach((_, i) => {
        call.output[i] = i + 1;
      });
      return undefined;
    };
    const input = Uint8Array.from({ length: 16 }, (_, i) => i);
    const whole = host.partition.hypercall({ code: 'HVCALL_GET_PARTITION_PROPERTY', input });
    const part = host.device.hypercall({ code: 0x44, input, outputSize: 3 });
    expect(whole).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(part).toEqual(Uint8Array.of(1, 2, 3));
    expect(asked.map(({ code, reps, input: got }) => ({ code, reps, got }))).toEqual([
      { code: 0x44, reps: 0, got: input },
      { code: 0x44, reps: 0, got: input },
    ]);
    expect(asked[0]?.fd).toBe(host.partition.fd);
    expect(asked[1]?.fd).not.toBe(host.partition.fd);
  });

  it('takes more input than is fixed, up to a page, and a view into something larger', () => {
    using host = new FakeHost();
    const asked = answering(host);
    const code = 'HVCALL_REGISTER_INTERCEPT_RESULT';
    host.partition.hypercall({ code, input: new Uint8Array(4096).fill(1) });
    const larger = new Uint8Array(200).fill(7);
    host.partition.hypercall({ code, input: larger.subarray(100, 164).fill(8) });
    expect(asked.map(({ input }) => input)).toEqual([
      new Uint8Array(4096).fill(1),
      new Uint8Array(64).fill(8),
    ]);
    expect(host.native.violations).toEqual([]);
  });

  it('keeps nothing of one call in the next', () => {
    using host = new FakeHost();
    const asked = answering(host);
    const { partition } = host;
    partition.postMessageDirect({ vp: 3, sint: 2, type: 5, payload: new Uint8Array(240).fill(9) });
    partition.postMessageDirect({ vp: 0, sint: 0, type: 1 });
    const view = new DataView(asked[1]?.input.buffer ?? new ArrayBuffer(0));
    const words = Array.from({ length: 70 }, (_, i) => view.getUint32(4 * i, true));
    // hv_message.header.message_type is the one that is not 0.
    expect(words).toEqual(words.map((_, i) => (i === 5 ? 1 : 0)));
  });

  it('is made again after a deposit, as long as the hypervisor gets on', () => {
    using host = new FakeHost();
    const again = { status: HV_STATUS_INSUFFICIENT_MEMORY, errno: EAGAIN };
    const asked = answering(host, again, again, again);
    clear(host.partition);
    expect(asked).toHaveLength(4);
  });

  it('is an error where the hypervisor never has enough', () => {
    using host = new FakeHost();
    host.native.hypervisor = () => ({ status: HV_STATUS_INSUFFICIENT_MEMORY, errno: EAGAIN });
    host.native.record();
    expect(thrownBy(() => clear(host.partition))).toMatchObject({
      code: 'EAGAIN',
      hvStatus: { code: 11, name: 'HV_STATUS_INSUFFICIENT_MEMORY' },
      message: expect.stringContaining('went on asking for memory') as string,
    });
    expect(host.native.calls).toHaveLength(64);
  });

  it('is made again where a signal kept it from beginning, five times in all', () => {
    using host = new FakeHost();
    const interrupted = { errno: EINTR };
    const asked = answering(host, ...Array<FakeAnswer>(4).fill(interrupted));
    clear(host.partition);
    expect(asked).toHaveLength(5);
    const refused = answering(host, ...Array<FakeAnswer>(5).fill(interrupted));
    expect(thrownBy(() => clear(host.partition))).toMatchObject({
      code: 'EINTR',
      message: expect.stringContaining('signals interrupted it 5 times') as string,
    });
    expect(refused).toHaveLength(5);
  });
});

describe('an error', () => {
  const statuses = Object.entries(hvStatusCodes).filter(([, status]) => status !== 0);

  it.each(statuses)('names %s', (name, status) => {
    using host = new FakeHost();
    answering(host, { status });
    const error = thrownBy(() => clear(host.partition));
    expect(error).toBeInstanceOf(MshvError);
    expect(error).toMatchObject({
      syscall: 'ioctl',
      ioctl: 'MSHV_ROOT_HVCALL',
      hypercall: 'HVCALL_CLEAR_VIRTUAL_INTERRUPT',
      hvStatus: { code: status, name },
    });
    expect(String(error)).toMatch(
      new RegExp(
        `^MshvError: cannot call HVCALL_CLEAR_VIRTUAL_INTERRUPT: E[A-Z]+ \\(MSHV_ROOT_HVCALL, HVCALL_CLEAR_VIRTUAL_INTERRUPT\\): .* ${name} \\(0x${status.toString(16)}\\)$`,
      ),
    );
    expect(error).not.toHaveProperty('repsCompleted');
  });

  it('shows a status that has no name by its number', () => {
    using host = new FakeHost();
    expect(hvStatusName(0xfff)).toBeUndefined();
    answering(host, { status: 0xfff });
    expect(thrownBy(() => clear(host.partition))).toMatchObject({
      code: 'EIO',
      hvStatus: { code: 0xfff, name: 'HV_STATUS_0xfff' },
    });
  });

  it.each([
    [EINVAL, 'EINVAL', 'the driver refused the call before the hypervisor saw it'],
    [EPERM, 'EPERM', 'an earlier change of a property has not been completed'],
    [ENOTTY, 'ENOTTY', 'this driver passes no hypercalls through'],
    [EBADFD, 'EBADFD', 'the hypervisor put off a call that the driver cannot wait for'],
    [EFAULT, 'EFAULT', 'the driver refused the call'],
    [ENOMEM, 'ENOMEM', 'the driver refused the call'],
  ])('has no status where the driver refused with errno %i', (errno, code, reason) => {
    using host = new FakeHost();
    answering(host, { errno });
    const error = thrownBy(() => clear(host.partition));
    expect(error).toMatchObject({ code, errno: -errno });
    expect(error).not.toHaveProperty('hvStatus');
    expect((error as Error).message.endsWith(`: ${reason}`)).toBe(true);
  });
});

describe('a rep call', () => {
  it('splits a list that a page does not hold, and assembles the results', () => {
    using host = new FakeHost();
    const asked: FakeHypercall[] = [];
    host.native.hypervisor = (call) => {
      asked.push(call);
      const output = new BigUint64Array(call.output.buffer);
      namesOf(call).forEach((name, i) => {
        output.set([BigInt(name) * 3n, BigInt(name) << 40n], 2 * i);
      });
      return undefined;
    };
    const values = host.partition.getRegisters(2, upTo(600, 0x20000));
    expect(asked.map(({ reps }) => reps)).toEqual([256, 256, 88]);
    expect([...values]).toEqual(
      [...upTo(600, 0x20000)].flatMap((name) => [BigInt(name) * 3n, BigInt(name) << 40n]),
    );
    const input = new Uint8Array(16 + 4 * 600);
    input.set(new Uint8Array(upTo(600, 0x20000).buffer), 16);
    const output = host.partition.hypercall({ code: 'HVCALL_GET_VP_REGISTERS', input, reps: 600 });
    expect(new BigUint64Array(output.buffer)).toEqual(values);
  });

  it('goes on where the hypervisor stopped, and says which were done', () => {
    using host = new FakeHost();
    const asked = answering(host, { reps: 100 }, { reps: 27 }, undefined, { reps: 1 });
    host.partition.setRegisters(0, upTo(300), new BigUint64Array(600));
    // A page holds 127. After 100 and 27 come 127, and of the last 46 first one.
    expect(asked.map((call) => [elementsOf(call)[0], call.reps])).toEqual([
      [0, 127],
      [100, 127],
      [127, 127],
      [254, 46],
      [255, 45],
    ]);
  });

  it('writes each element once where the driver deposits memory in between', () => {
    using host = new FakeHost();
    const memory = { status: HV_STATUS_INSUFFICIENT_MEMORY, errno: EAGAIN };
    const asked = answering(host, { ...memory, reps: 3 }, memory, { ...memory, reps: 6 });
    host.partition.setRegisters(0, upTo(10), new BigUint64Array(20));
    expect(asked.map(elementsOf)).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [3, 4, 5, 6, 7, 8, 9],
      [3, 4, 5, 6, 7, 8, 9],
      [9],
    ]);
  });

  it('reads all of a page again then, because the output is lost', () => {
    using host = new FakeHost();
    const memory = { status: HV_STATUS_INSUFFICIENT_MEMORY, errno: EAGAIN };
    const asked = answering(host, { ...memory, reps: 3 });
    host.partition.getRegisters(0, upTo(5));
    expect(asked.map(namesOf)).toEqual([
      [0, 1, 2, 3, 4],
      [0, 1, 2, 3, 4],
    ]);
  });

  it('does not repeat what changed something, and says how much is done', () => {
    using host = new FakeHost();
    const memory = { status: HV_STATUS_INSUFFICIENT_MEMORY, errno: EAGAIN };
    const asked = answering(host, undefined, memory, { ...memory, reps: 5 });
    expect(
      thrownBy(() => host.partition.accessStates({ gpa: 0, pages: 5000, clearDirty: true })),
    ).toMatchObject({ code: 'EAGAIN', repsCompleted: 4100 });
    expect(asked).toHaveLength(3);

    const looked = answering(host, { ...memory, reps: 5 });
    host.partition.accessStates({ gpa: 0, pages: 50 });
    expect(looked).toHaveLength(2);
  });

  it('counts what was done before it was refused', () => {
    using host = new FakeHost();
    answering(host, undefined, { status: HV_STATUS_INVALID_REGISTER_VALUE, reps: 20 });
    expect(
      thrownBy(() => {
        host.partition.setRegisters(7, upTo(200), new BigUint64Array(400));
      }),
    ).toMatchObject({
      code: 'EINVAL',
      hypercall: 'HVCALL_SET_VP_REGISTERS',
      hvStatus: { name: 'HV_STATUS_INVALID_REGISTER_VALUE' },
      repsCompleted: 147,
      message: expect.stringContaining('cannot set registers of VP 7 after 147 of 200: ') as string,
    });
  });

  it.each([
    ['success', { reps: 0 }, 'ERR_MSHV_NO_PROGRESS'],
    ['EAGAIN', { reps: 0, errno: EAGAIN }, 'EAGAIN'],
  ])('ends where nothing gets done: %s', (_, answer, code) => {
    using host = new FakeHost();
    host.native.hypervisor = () => answer;
    host.native.record();
    expect(thrownBy(() => host.partition.getRegisters(0, upTo(5)))).toMatchObject({
      code,
      repsCompleted: 0,
    });
    expect(host.native.calls).toHaveLength(64);
  });

  it('believes no hypervisor that did more than it was asked', () => {
    using host = new FakeHost();
    const asked = answering(host, { reps: 4000 });
    expect(host.partition.getRegisters(0, upTo(5))).toHaveLength(10);
    expect(asked).toHaveLength(1);
  });

  it('asks nothing for an empty list', () => {
    using host = new FakeHost();
    const asked = answering(host);
    expect(host.partition.getRegisters(0, upTo(0))).toHaveLength(0);
    host.partition.setRegisters(0, upTo(0), new BigUint64Array(0));
    expect(host.partition.cpuidValues({ vp: 0, leaves: [] })).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('counts pages up where the list is no list', () => {
    using host = new FakeHost();
    const asked: [bigint, bigint, number][] = [];
    host.native.hypervisor = ({ input, reps, output }) => {
      const view = new DataView(input.buffer);
      const page = view.getBigUint64(16, true);
      asked.push([view.getBigUint64(8, true), page, reps]);
      output.forEach((_, i) => {
        output[i] = Number((page + BigInt(i)) % 4n);
      });
      // In parts: what comes next is the page after those that are done.
      return { reps: Math.min(reps, 4000) };
    };
    const input = new Uint8Array(24);
    new DataView(input.buffer).setBigUint64(16, 7n, true);
    const states = host.partition.hypercall({
      code: 'HVCALL_GET_GPA_PAGES_ACCESS_STATES',
      input,
      reps: 9000,
    });
    expect(asked).toEqual([
      [0n, 7n, 4095],
      [0n, 4007n, 4095],
      [0n, 8007n, 1000],
    ]);
    expect(states).toEqual(Uint8Array.from({ length: 9000 }, (_, i) => (7 + i) % 4));
    asked.length = 0;
    expect(host.partition.accessStates({ gpa: 7n * 4096n, pages: 9000 })).toEqual(states);
    expect(asked.map(([, page]) => page)).toEqual([7n, 4007n, 8007n]);
  });
});

describe('a call through a VP', () => {
  const input = new Uint8Array(16);
  const code = 'HVCALL_GET_PARTITION_PROPERTY';

  it('is made on its descriptor', () => {
    using host = new FakeHost();
    const asked = answering(host);
    const vp = host.partition.vps[1];
    expect(vp?.hypercall({ code, input })).toEqual(new Uint8Array(8));
    expect(asked.map(({ fd }) => fd)).toEqual([vp?.fd]);
  });

  it('is ERR_MSHV_VP_RUNNING while the VP runs, and any other error as it is', () => {
    using host = new FakeHost();
    const vp = host.partition.vps[1];
    answering(host, { errno: EBUSY }, { status: 6 });
    expect(thrownBy(() => vp?.hypercall({ code, input }))).toMatchObject({
      code: 'ERR_MSHV_VP_RUNNING',
      message: expect.stringContaining(`cannot call ${code}: VP 1 is running`) as string,
    });
    expect(thrownBy(() => vp?.hypercall({ code, input }))).toMatchObject({
      code: 'EIO',
      hvStatus: { name: 'HV_STATUS_ACCESS_DENIED' },
    });
  });
});

describe('the allow-list', () => {
  it('is one list for each descriptor', () => {
    using host = new FakeHost();
    const answered = (name: HypercallName): boolean => {
      const { input, repInput, kind } = hypercalls[name];
      const options = {
        code: name,
        input: new Uint8Array(input + repInput),
        ...(kind === 'rep' && { reps: 1 }),
      };
      host.partition.hypercall(options);
      try {
        host.device.hypercall(options);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
        return false;
      }
    };
    expect((Object.keys(hypercalls) as HypercallName[]).filter(answered)).toEqual([
      'HVCALL_GET_PARTITION_PROPERTY',
      'HVCALL_GET_PARTITION_PROPERTY_EX',
    ]);
    expect(host.native.violations).toEqual([]);
  });
});

describe('an older driver, which deposits memory and returns EAGAIN', () => {
  it('writes and reads every register all the same', () => {
    using simulator = new Simulator({ deposits: 'again' });
    const partition = simulator.open().createPartition();
    partition.initialize();
    partition.createVp(0);
    const id = Number(simulator.path.replace('sim:', ''));
    const { HVCALL_SET_VP_REGISTERS, HVCALL_GET_VP_REGISTERS } = hypercalls;
    /** Lets `after` calls pass, then one be short of memory after `reps` reps. */
    const starve = (code: number, after: number, reps: number): void => {
      const status = HV_STATUS_INSUFFICIENT_MEMORY;
      expect(simNative().simRefuse(id, code, status, after, 1, reps)).toBe(0);
    };
    const names = Uint32Array.from({ length: 300 }, (_, i) => x64Registers.RAX + (i % 16));
    const values = BigUint64Array.from({ length: 600 }, (_, i) => (i % 2 === 0 ? BigInt(i) : 0n));
    const before = simulator.calls('MSHV_ROOT_HVCALL');
    starve(HVCALL_SET_VP_REGISTERS.code, 0, 100);
    partition.setRegisters(0, names, values);
    // 127, of which 100 are done; 127 from there on; the last 73.
    expect(simulator.calls('MSHV_ROOT_HVCALL') - before).toBe(3);
    starve(HVCALL_GET_VP_REGISTERS.code, 1, 20);
    const got = partition.getRegisters(0, names);
    expect(simulator.calls('MSHV_ROOT_HVCALL') - before).toBe(6);
    const last = (name: number): bigint => values[2 * names.lastIndexOf(name)] ?? 0n;
    expect([...got]).toEqual([...names].flatMap((name) => [last(name), 0n]));
  });
});
