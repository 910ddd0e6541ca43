import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

import {
  EventFd,
  hvStatusCodes,
  type GuestMessagePort,
  type HvStatusName,
  type PostResult,
  type RetargetInterruptRequest,
} from '../../lib/index.js';
import { DeviceGuest } from './device-guest.js';
import { guestMemorySize, stringBuffer } from './device-guest-memory.js';
import { BlockingSynicVmm, SynicGuest, SynicVmm, wakeVector } from './synic-guest.js';
import {
  sequence,
  sequencedMessage,
  sequencedWord,
  sintFlags,
  sintVector,
  SynicGuestMemory,
  synicParts,
} from './synic-guest-memory.js';
import { executesGuests, few, mmio, some, until, why } from './vmm-ways.js';
import { VmmThread, WorkerVmm } from './vmm.js';

// A guest with real code uses its SynIC, and lib/synic is what it talks to: its own log, counters and statuses are
// the judge. See lab/device-guest-synic.S.

const connection = 0x21;
const otherConnection = 0x22;
const nowhere = 0x23;
const sint = 2;

/** Fast input of HvSignalEvent, and the control words of both forms. */
const post = 0x5cn;
const signal = 0x5dn;
const fast = 1n << 16n;
const retarget = 0x7en;
const signalled = (id: number, flag = 0, reserved = 0): bigint =>
  BigInt(id) | (BigInt(flag) << 32n) | (BigInt(reserved) << 48n);

/** What the guest has in RAX. */
const status = (name: HvStatusName): bigint => BigInt(hvStatusCodes[name]);

describe.skipIf(!executesGuests).each([
  ['vp.start()', SynicVmm],
  ['vp.run()', BlockingSynicVmm],
] as const)(`a guest that calls its host, with %s${why}`, (_way, VmmOfWay) => {
  it(`handles each of ${some} messages once, in order`, async () => {
    using guest = new SynicGuest();
    const words: (bigint | undefined)[] = [];
    let trusted = 0;
    guest.ports.addMessagePort(connection, 0, {
      handleMessage: (payload, secure, type) => {
        words.push(sequencedWord(type, payload));
        trusted += Number(secure);
      },
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([sint]);
    const [first = 0n] = sequence(7, 1);
    await vmm.perform({ command: 'post', count: some, address: connection, value: first });
    expect(words).toEqual(sequence(7, some));
    expect(trusted).toBe(0);
    expect(vmm.area.statuses).toEqual({ HV_STATUS_SUCCESS: some });
    expect(guest.errors).toEqual([]);
  });

  it(`handles each message once where the host is not ready, or answers later`, async () => {
    using guest = new SynicGuest();
    const count = few;
    const calls = new Map<bigint | undefined, number>();
    guest.ports.addMessagePort(connection, 0, {
      handleMessage: (payload, _secure, type) => {
        const word = sequencedWord(type, payload);
        const call = calls.get(word) ?? 0;
        calls.set(word, call + 1);
        switch (word === undefined ? undefined : word % 5n) {
          case 1n: // three times
            return call === 2;
          case 2n:
            return setImmediate();
          case 3n: // twice
            return setImmediate(call === 1);
          case 4n:
            return setImmediate().then(() => Promise.reject(new Error('refused')));
          default:
            return undefined;
        }
      },
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([sint]);
    await vmm.perform({ command: 'post', count, address: connection });
    expect([...calls]).toEqual(
      sequence(0, count).map((word) => [word, word % 5n === 1n ? 3 : word % 5n === 3n ? 2 : 1]),
    );
    const { statuses } = vmm.area;
    expect(statuses).toEqual({
      HV_STATUS_SUCCESS: (4 * count) / 5,
      HV_STATUS_OPERATION_FAILED: count / 5,
      HV_STATUS_INSUFFICIENT_BUFFERS: expect.any(Number) as number,
    });
    expect(statuses['HV_STATUS_INSUFFICIENT_BUFFERS']).toBeGreaterThanOrEqual(count);
    await until(() => guest.failures() === count / 5);
    const codes = new Set(guest.errors.map(({ code }) => code));
    codes.delete('ERR_MSHV_SUPPRESSED');
    expect([...codes]).toEqual(['ERR_MSHV_PORT_HANDLER']);
  });

  it.each([
    ['signal fast', some],
    ['signal slow', some / 2],
  ] as const)('handles each event of %s once', async (command, count) => {
    using guest = new SynicGuest();
    const flags: number[] = [];
    using event = EventFd.create();
    guest.ports.addEventPort(connection, 0, {
      handleEvent: (flag) => {
        flags.push(flag);
      },
      osEvent: event,
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([sint]);
    await vmm.perform({ command, count, address: connection, value: 2040 });
    expect(flags).toEqual(Array.from({ length: count }, (_, n) => 2040 + (n % 8)));
    expect(event.tryRead()).toBe(BigInt(count));
    expect(vmm.area.statuses).toEqual({ HV_STATUS_SUCCESS: count });
  });

  it('tells the guest what is wrong with a call', async () => {
    using guest = new SynicGuest();
    let handled = 0;
    const handle = (): void => {
      handled++;
    };
    const messagePort = { handleMessage: handle };
    const eventPort = { handleEvent: handle, flagCount: 4 };
    for (const [id, minimumVtl] of [
      [connection, 0],
      [connection + 0x100, 1],
    ] as const) {
      guest.ports.addMessagePort(id, minimumVtl, messagePort);
      guest.ports.addEventPort(id + 1, minimumVtl, eventPort);
    }
    await using vmm = await new VmmOfWay(guest, 0).boot([]);
    const input = (id: number, { type = 1, size = 240, reserved = 0 } = {}): Uint8Array =>
      new Uint8Array(Uint32Array.of(id, reserved, type, size, ...new Uint32Array(60)).buffer);
    const slow = async (bytes: Uint8Array, offset = 0, control = post): Promise<bigint> =>
      vmm.slowHypercall(control, bytes, offset);
    const quick = async (value: bigint, control = signal | fast): Promise<bigint> =>
      vmm.hypercall(control, value);

    expect(await slow(input(connection))).toBe(status('HV_STATUS_SUCCESS'));
    expect(await quick(signalled(otherConnection, 3))).toBe(status('HV_STATUS_SUCCESS'));
    expect(handled).toBe(2);

    const unknown = status('HV_STATUS_INVALID_CONNECTION_ID');
    expect(await slow(input(nowhere))).toBe(unknown);
    expect(await slow(input(otherConnection))).toBe(unknown);
    expect(await slow(input(connection | (1 << 24)))).toBe(unknown);
    expect(await quick(signalled(nowhere))).toBe(unknown);
    expect(await quick(signalled(connection))).toBe(unknown);
    expect(await quick(signalled(otherConnection | (1 << 24)))).toBe(unknown);

    const denied = status('HV_STATUS_OPERATION_DENIED');
    expect(await slow(input(connection + 0x100))).toBe(denied);
    expect(await quick(signalled(otherConnection + 0x100))).toBe(denied);

    const invalid = status('HV_STATUS_INVALID_PARAMETER');
    expect(await slow(input(connection, { size: 241 }))).toBe(invalid);
    expect(await slow(input(connection, { type: 0 }))).toBe(invalid);
    expect(await slow(input(connection, { type: 2 ** 31 }))).toBe(invalid);
    expect(await slow(input(connection, { reserved: 1 }))).toBe(invalid);
    expect(await quick(signalled(otherConnection, 4))).toBe(invalid);
    expect(await quick(signalled(otherConnection, 0, 1))).toBe(invalid);

    const misplaced = status('HV_STATUS_INVALID_ALIGNMENT');
    expect(await slow(input(connection), 4)).toBe(misplaced);
    expect(await slow(input(connection), 4096 - 248)).toBe(misplaced);
    expect(await vmm.hypercall(post, guestMemorySize)).toBe(misplaced);

    const malformed = status('HV_STATUS_INVALID_HYPERCALL_INPUT');
    expect(await quick(0n, post | fast)).toBe(malformed);
    expect(await quick(signalled(otherConnection), signal | fast | (1n << 32n))).toBe(malformed);
    expect(await quick(signalled(otherConnection), signal | fast | (1n << 17n))).toBe(malformed);
    expect(await quick(signalled(otherConnection), signal | fast | (1n << 27n))).toBe(malformed);
    expect(await quick(0n, 0x7777n)).toBe(status('HV_STATUS_INVALID_HYPERCALL_CODE'));
    expect(await quick(0n, retarget)).toBe(status('HV_STATUS_INVALID_HYPERCALL_CODE'));

    expect(await slow(input(connection), 4096 - 256)).toBe(status('HV_STATUS_SUCCESS'));
    expect(handled).toBe(3);
    expect(guest.errors).toEqual([]);
  });

  it('notices each trigger that the guest sets in its monitor page', async () => {
    using guest = new SynicGuest();
    const group = 1;
    const trigger = 5;
    const latency = 0;
    const flags: number[] = [];
    const eventPort = {
      handleEvent: (flag: number) => {
        flags.push(flag);
      },
    };
    const monitorId = 32 * group + trigger;
    guest.ports.addEventPort(connection, 0, eventPort, { monitorId, latency });
    guest.ports.monitorSupport?.setMonitorPage(0, {
      parentToChild: 0n,
      childToParent: BigInt(stringBuffer),
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([]);
    const write = async (at: number, value: number): Promise<unknown> =>
      vmm.perform({ command: 'write32', address: stringBuffer + at, value });
    await write(0, 1 << group);
    for (let i = 1; i <= few; i++) {
      await write(8 + 8 * group, (1 << trigger) | 1);
      await until(() => flags.length === i);
      // Nobody has registered the other one.
      expect(guest.view.word(stringBuffer + 8 + 8 * group)).toBe(1n);
    }
    expect(flags).toEqual(Array.from({ length: few }, () => 0));
    expect(vmm.exits).toBe(1);
    expect(guest.errors).toEqual([]);
  });

  it('survives handlers that throw: the guest is told, and goes on', async () => {
    using guest = new SynicGuest();
    const broken = new Error('broken');
    const fail = (): never => {
      throw broken;
    };
    guest.ports.addMessagePort(connection, 0, { handleMessage: fail });
    guest.ports.addEventPort(otherConnection, 0, { handleEvent: fail });
    guest.synic.hypercalls.add({
      code: 0x7777,
      name: 'broken',
      inputSize: 0,
      handle: fail,
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([sint]);
    // As many as are told of in a second.
    await vmm.perform({ command: 'post', count: 8, address: connection });
    await vmm.perform({ command: 'signal fast', count: 8, address: otherConnection });
    expect(vmm.area.statuses).toEqual({ HV_STATUS_OPERATION_FAILED: 16 });
    expect(await vmm.hypercall(0x7777n, 0)).toBe(status('HV_STATUS_OPERATION_FAILED'));
    const codes = ['ERR_MSHV_PORT_HANDLER', 'ERR_MSHV_HYPERCALL_HANDLER'] as const;
    expect(guest.errors.map(({ code, cause }) => [code, cause])).toEqual(
      Array.from({ length: 17 }, (_, i) => [codes[i < 16 ? 0 : 1], broken]),
    );
  });

  it('retargets an interrupt to a sparse set of VPs', async () => {
    const requests: RetargetInterruptRequest[] = [];
    using guest = new SynicGuest(1, {
      retargetDeviceInterrupt: (request) => {
        requests.push(request);
        return request.deviceId === 5n
          ? hvStatusCodes.HV_STATUS_SUCCESS
          : hvStatusCodes.HV_STATUS_INVALID_DEVICE_ID;
      },
    });
    await using vmm = await new VmmOfWay(guest, 0).boot([]);
    const input = (deviceId: bigint, flags: number, mask: bigint, ...banks: bigint[]): Uint8Array =>
      new Uint8Array(
        BigUint64Array.of(
          2n ** 64n - 1n,
          deviceId,
          1n, // an MSI
          (0x4321n << 32n) | 0xfee0_1000n,
          0n,
          (BigInt(flags) << 32n) | 0x77n,
          mask,
          ...banks,
        ).buffer,
      );
    const header = (words: number): bigint => retarget | (BigInt(words) << 17n);
    // VPs 0, 63; 130; 255
    const banks = [0b1101n, (1n << 63n) | 1n, 1n << 2n, 1n << 63n];
    const set = input(5n, 3, 0n, ...banks);
    expect(await vmm.slowHypercall(header(4), set)).toBe(status('HV_STATUS_SUCCESS'));
    const masked = input(6n, 0, 0b1010n);
    expect(await vmm.slowHypercall(retarget, masked)).toBe(status('HV_STATUS_INVALID_DEVICE_ID'));
    // A bank too few.
    expect(await vmm.slowHypercall(header(3), set)).toBe(status('HV_STATUS_INVALID_PARAMETER'));
    const request = {
      vpIndex: 0,
      vtl: 0,
      partitionId: 2n ** 64n - 1n,
      msi: { address: 0xfee0_1000n, data: 0x4321 },
      vector: 0x77,
      proxyRedirect: false,
    };
    expect(requests).toEqual([
      { ...request, deviceId: 5n, multicast: true, processors: [0, 63, 130, 255] },
      { ...request, deviceId: 6n, multicast: false, processors: [1, 3] },
    ]);
  });
});

describe.skipIf(!executesGuests)(`a guest that its host calls${why}`, () => {
  /** Posts messages one after the other, and waits where the queue is full. */
  const postAll = async (
    port: Pick<GuestMessagePort, 'post'>,
    words: readonly bigint[],
  ): Promise<number> => {
    let waits = 0;
    for (const word of words) {
      const { type, payload } = sequencedMessage(word);
      const taken = port.post(type, payload);
      if (taken === false) throw new Error('an earlier message was not taken');
      if (taken !== true) {
        waits++;
        await taken;
      }
    }
    return waits;
  };

  it(`gives a slow guest ${some} messages, each once and in order, from a queue of four`, async () => {
    using guest = new SynicGuest(1, { messageBound: 4 });
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    vmm.area.pace = 200;
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    const waits = await postAll(port, sequence(1, some));
    await until(() => vmm.area.messages >= some);
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual(sequence(1, some));
    expect(vmm.area.badMessages).toBe(0);
    expect(waits).toBeGreaterThan(0);
    expect(vmm.area.eoms).toBeGreaterThan(0);
    expect(guest.synic.messages.size).toBe(0);
    expect(guest.errors).toEqual([]);
  });

  it('gives two SINTs of two VPs their messages at once', async () => {
    const each = some / 4;
    using guest = new SynicGuest(2, { messageBound: 8 });
    const sints = [2, 15];
    const parts = synicParts.all | sintFlags.autoEoi;
    await using one = await new SynicVmm(guest, 0).boot(sints);
    await using other = await new SynicVmm(guest, 1).boot(sints, parts);
    const vmms = [one, other];
    for (const vmm of vmms) vmm.receive();
    await Promise.all(
      vmms.flatMap((_, vp) =>
        sints.map(async (number) => {
          using port = guest.ports.newGuestMessagePort(0, vp, number);
          await postAll(port, sequence(16 * vp + number, each));
        }),
      ),
    );
    await until(() => vmms.every(({ area }) => area.messages >= 2 * each));
    for (const [vp, vmm] of vmms.entries()) {
      await vmm.finish();
      for (const number of sints) {
        expect(vmm.area.received(number)).toEqual(sequence(16 * vp + number, each));
      }
      expect(vmm.area.badMessages).toBe(0);
    }
    expect(guest.errors).toEqual([]);
  });

  it('gives the messages of two ports and of none to one SINT, each in its order', async () => {
    using guest = new SynicGuest(1, { messageBound: 3 });
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    vmm.receive();
    using one = guest.ports.newGuestMessagePort(0, 0, sint);
    using other = guest.ports.newGuestMessagePort(0, 0, sint);
    const none = {
      post: (type: number, payload: Uint8Array) =>
        guest.ports.postMessage(0, 0, sint, type, payload),
    };
    await Promise.all(
      [one, other, none].map(async (poster, i) => postAll(poster, sequence(i, few))),
    );
    await until(() => vmm.area.messages >= 3 * few);
    await vmm.finish();
    const received = vmm.area.received(sint);
    expect(received).toHaveLength(3 * few);
    for (let i = 0; i < 3; i++) {
      expect(received.filter((word) => word >> 32n === BigInt(i))).toEqual(sequence(i, few));
    }
  });

  it('takes messages in flight to another VP, none lost and none twice', async () => {
    const count = some / 2;
    using guest = new SynicGuest(2, { messageBound: 16 });
    await using one = await new SynicVmm(guest, 0).boot([sint]);
    await using other = await new SynicVmm(guest, 1).boot([sint]);
    const vmms = [one, other];
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    // One of these is in the slot and goes nowhere; the others are taken along.
    one.hold(true);
    for (const vmm of vmms) vmm.receive();
    expect(await postAll(port, sequence(0, 10))).toBe(0);
    port.setTargetVp(1);
    await until(() => other.area.messages === 9);
    expect(other.area.received(sint)).toEqual(sequence(0, 9, 1));
    one.hold(false);
    await until(() => one.area.messages === 1);

    for (let first = 10; first < count; first += 7) {
      port.setTargetVp(first % 2);
      await postAll(port, sequence(0, Math.min(7, count - first), first));
    }
    await until(() => one.area.messages + other.area.messages >= count);
    await Promise.all(vmms.map(async (vmm) => vmm.finish()));
    const received = vmms.map(({ area }) => area.received(sint));
    const ascending = (words: readonly bigint[]): boolean =>
      words.every((word, i) => i === 0 || word > (words[i - 1] ?? 0n));
    expect(received.map(ascending)).toEqual([true, true]);
    const all = received.flat().sort((a, b) => Number(a - b));
    expect(all).toEqual(sequence(0, count));
    expect(Math.min(...received.map((words) => words.length))).toBeGreaterThan(1);
    expect(vmms.map(({ area }) => area.badMessages)).toEqual([0, 0]);
    expect(guest.errors).toEqual([]);
  });

  it('passes messages both ways at once', async () => {
    const count = some / 4;
    using guest = new SynicGuest(1, { messageBound: 4 });
    const words: (bigint | undefined)[] = [];
    guest.ports.addMessagePort(connection, 0, {
      handleMessage: async (payload, _secure, type) => {
        words.push(sequencedWord(type, payload));
        await setImmediate();
      },
    });
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    const posting = vmm.perform({ command: 'post', count, address: connection });
    const waits = await postAll(port, sequence(3, count));
    await posting;
    vmm.receive();
    await until(() => vmm.area.messages >= count);
    await vmm.finish();
    expect(waits).toBeGreaterThan(0);
    expect(words).toEqual(sequence(0, count));
    expect(vmm.area.received(sint)).toEqual(sequence(3, count));
    expect(vmm.area.badMessages).toBe(0);
    expect(guest.errors).toEqual([]);
  });

  it(`loses no message to cancels`, async () => {
    const count = some / 4;
    using guest = new SynicGuest(1, { messageBound: 4 });
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    const posting = postAll(port, sequence(0, count));
    let cancels = 0;
    while (vmm.area.messages < count) {
      await setImmediate();
      vmm.vp.cancel();
      expect(await vmm.ended()).toBe('canceled');
      cancels++;
      vmm.goOn();
    }
    await posting;
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual(sequence(0, count));
    expect(cancels).toBeGreaterThan(10);
  });

  it('gives a guest that polls its slots their messages without interrupts', async () => {
    using guest = new SynicGuest(1, { messageBound: 64 });
    await using vmm = await new SynicVmm(guest, 0).boot([sint], synicParts.all | sintFlags.polling);
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await postAll(port, sequence(0, 20));
    vmm.receive();
    await until(() => {
      vmm.wake();
      return vmm.area.messages === 20;
    });
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual(sequence(0, 20));
    expect(guest.view.interrupts(0, sintVector(sint))).toBe(0);
  });

  it('saves and restores the messages behind a full slot', async () => {
    using guest = new SynicGuest(1, { messageBound: 2 });
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    vmm.hold(true);
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    const post = (word: bigint): PostResult => {
      const { type, payload } = sequencedMessage(word);
      return port.post(type, payload);
    };
    const [inSlot, first, second, third] = sequence(0, 4).map(post);
    // The slot has one, the queue two, and the fourth is not taken.
    expect([inSlot, first, second]).toEqual([true, true, true]);
    const saved = structuredClone(guest.synic.messages.save());
    expect(saved).toEqual({
      queues: [{ vtl: 0, vp: 0, sint, messages: sequence(0, 2, 1).map(sequencedMessage) }],
    });
    guest.synic.reset();
    await expect(third).rejects.toMatchObject({ code: 'ERR_MSHV_RESET' });
    expect(guest.synic.messages.size).toBe(0);
    guest.synic.messages.restore(saved);
    expect(guest.synic.messages.size).toBe(2);
    expect(sequence(0, 1, 10).map(post)[0]).toBeInstanceOf(Promise);
    vmm.hold(false);
    await until(() => vmm.area.messages >= 4);
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual([...sequence(0, 3), ...sequence(0, 1, 10)]);
    expect(guest.errors).toEqual([]);
  });

  it('forgets the messages behind a full slot at a reset, and goes on', async () => {
    using guest = new SynicGuest();
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    vmm.hold(true);
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await postAll(port, sequence(0, 10));
    expect(guest.synic.messages.size).toBe(9);
    guest.synic.reset();
    await postAll(port, sequence(0, 5, 100));
    expect(guest.synic.messages.size).toBe(5);
    vmm.hold(false);
    await until(() => vmm.area.messages >= 6);
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual([...sequence(0, 1), ...sequence(0, 5, 100)]);
    expect(guest.errors).toEqual([]);
  });

  it('starts anew with a VP that is reset while its slot is full', async () => {
    using guest = new SynicGuest();
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    const notifications = (): bigint =>
      vmm.vp.getRegisters(['DELIVERABILITY_NOTIFICATIONS']).DELIVERABILITY_NOTIFICATIONS;
    vmm.hold(true);
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await postAll(port, sequence(0, 10));
    expect(notifications()).toBe(1n << BigInt(48 + sint));
    await vmm.finish();
    guest.synic.reset();
    expect(notifications()).toBe(0n);
    guest.enterLongMode(vmm.vp);
    // Off and on again.
    await vmm.boot([sint], 0);
    await vmm.setUp([sint]);
    vmm.receive();
    vmm.hold(false);
    await postAll(port, sequence(1, 20));
    await until(() => vmm.area.messages >= 21);
    await vmm.finish();
    // The lab's hypervisor keeps the page, and so the slot.
    expect(vmm.area.received(sint)).toEqual([...sequence(0, 1), ...sequence(1, 20)]);
    expect(guest.errors).toEqual([]);
  });

  it('keeps messages for a VP that nobody owns, until somebody does', async () => {
    using guest = new SynicGuest();
    await using vmm = await new SynicVmm(guest, 0).boot([sint]);
    for (const owner of guest.owners) owner[Symbol.dispose]();
    vmm.hold(true);
    vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await postAll(port, sequence(0, 5));
    vmm.hold(false);
    await until(() => vmm.area.messages === 1);
    // Nobody has told of the free slot.
    expect(guest.synic.messages.size).toBe(4);
    guest.synic.attachVp(0);
    await until(() => vmm.area.messages === 5);
    await vmm.finish();
    expect(vmm.area.received(sint)).toEqual(sequence(0, 5));
  });

  it('skips messages to a guest whose SynIC is off, and delivers those behind them', async () => {
    const refused: unknown[] = [];
    using guest = new SynicGuest(2, {
      onError: ({ code, hvStatus }) => {
        refused.push([code, hvStatus?.name]);
        if (refused.length === 2) guest.vp(1).setRegisters({ SCONTROL: 1n });
      },
    });
    await using one = await new SynicVmm(guest, 0).boot([sint]);
    await using other = await new SynicVmm(guest, 1).boot([sint], synicParts.messages);
    one.hold(true);
    for (const vmm of [one, other]) vmm.receive();
    using port = guest.ports.newGuestMessagePort(0, 0, sint);
    await postAll(port, sequence(0, 6));
    expect(guest.synic.messages.size).toBe(5);
    // All five are tried with the other VP, which has its SynIC when two of them are refused.
    port.setTargetVp(1);
    await until(() => other.area.messages === 3);
    const invalidState = ['ERR_MSHV_MESSAGE_REFUSED', 'HV_STATUS_INVALID_SYNIC_STATE'];
    expect(refused).toEqual([invalidState, invalidState]);
    one.hold(false);
    await until(() => one.area.messages === 1);
    expect(one.area.received(sint)).toEqual(sequence(0, 1));
    expect(other.area.received(sint)).toEqual(sequence(0, 3, 3));

    // Without a message page it is the same.
    await other.finish();
    await other.setUp([sint], synicParts.control | synicParts.events);
    await postAll(port, sequence(0, 3, 50));
    expect(refused).toEqual(Array.from({ length: 5 }, () => invalidState));
    expect(guest.synic.messages.size).toBe(0);
    await other.setUp([sint]);
    other.receive();
    await postAll(port, sequence(0, 3, 100));
    await until(() => other.area.messages === 6);
    await Promise.all([one.finish(), other.finish()]);
    expect(other.area.received(sint).slice(3)).toEqual(sequence(0, 3, 100));
    expect(refused).toHaveLength(5);
  });

  it('signals flags: what was new the guest finds set, and nothing else', async () => {
    using guest = new SynicGuest(2);
    await using one = await new SynicVmm(guest, 0).boot([sint]);
    await using other = await new SynicVmm(guest, 1).boot([sint]);
    const flags = [0, 1, 63, 64, 1000, 2047];
    const ports = flags.map((flag, i) => guest.ports.newGuestEventPort(i, 0, 0, sint, flag));
    // While the guest looks away only the first signal of each is new.
    one.hold(true);
    for (const vmm of [one, other]) vmm.receive();
    expect(ports.map((port) => port.signal())).toEqual(flags.map(() => true));
    expect(ports.map((port) => port.signal())).toEqual(flags.map(() => false));
    one.hold(false);
    await until(() => one.area.events === flags.length);
    const news = new Map(flags.map((flag) => [flag, 1]));
    for (let i = 0; i < some; i++) {
      const at = (i * 5) % flags.length;
      const flag = flags[at] ?? 0;
      if (ports[at]?.signal() === true) news.set(flag, (news.get(flag) ?? 0) + 1);
      if (i % 10 === 0) await setImmediate();
    }
    const total = [...news.values()].reduce((sum, count) => sum + count);
    await until(() => one.area.events >= total);
    expect(one.area.flags(sint)).toEqual(news);
    expect(total).toBeGreaterThan(10);

    for (const port of ports) port.setTargetVp(1);
    expect(ports.map((port) => port.signal())).toEqual(flags.map(() => true));
    await until(() => other.area.events === flags.length);
    expect(other.area.flags(sint)).toEqual(new Map(flags.map((flag) => [flag, 1])));
    expect(one.area.events).toBe(total);
    await Promise.all([one.finish(), other.finish()]);
    expect(guest.errors).toEqual([]);
  });

  it('delivers interrupts of event ports, by function and by event', async () => {
    using guest = new SynicGuest();
    await using vmm = await new SynicVmm(guest, 0).boot([sint, 5]);
    vmm.receive();
    using port = guest.ports.newGuestEventPort();
    const interrupt = port.interrupt();
    interrupt.deliver();
    expect(guest.errors.splice(0)).toMatchObject([{ code: 'ERR_MSHV_EVENT_REFUSED' }]);
    port.set(0, 0, sint, 77);
    for (let i = 1; i <= few; i++) {
      interrupt.deliver();
      await until(() => vmm.area.events === 2 * i - 1);
      interrupt.event.signal();
      await until(() => vmm.area.events === 2 * i);
    }
    port.set(0, 0, 5, 78);
    interrupt.event.signal(5n);
    await until(() => vmm.area.events === 2 * few + 1);
    port.clear();
    interrupt.deliver();
    await vmm.finish();
    expect([...vmm.area.flags(sint)]).toEqual([[77, 2 * few]]);
    expect([...vmm.area.flags(5)]).toEqual([[78, 1]]);
    expect(guest.errors).toEqual([]);
  });

  it('reports events to a guest whose SynIC is off', async () => {
    using guest = new SynicGuest();
    await using vmm = await new SynicVmm(guest, 0).boot([sint], synicParts.control);
    using port = guest.ports.newGuestEventPort(1, 0, 0, sint, 3);
    expect(() => port.signal()).toThrow('HV_STATUS_INVALID_SYNIC_STATE');
    port.interrupt().deliver();
    expect(guest.errors.map(({ code }) => code)).toEqual(['ERR_MSHV_EVENT_REFUSED']);
    await vmm.setUp([sint]);
    vmm.receive();
    expect(port.signal()).toBe(true);
    await until(() => vmm.area.events === 1);
    await vmm.finish();
  });

  it('signals an OS event from a doorbell, without an exit', async () => {
    using guest = new SynicGuest(1, {
      hostEventDoorbell: (id) => (id === connection ? { gpa: mmio, size: 4 } : undefined),
    });
    expect(guest.ports.preferOsEvents).toBe(true);
    using event = EventFd.create();
    const port = guest.ports.addEventPort(connection, 0, { osEvent: event });
    await using vmm = await new SynicVmm(guest, 0).boot([]);
    await vmm.perform({ command: 'write32', count: some, address: mmio });
    expect(vmm.exits).toBe(1);
    await vmm.perform({ command: 'signal fast', count: few, address: connection });
    expect(event.tryRead()).toBe(BigInt(some + few));
    port[Symbol.dispose]();
    await vmm.perform({ command: 'write32', count: few, address: mmio });
    expect(vmm.exits).toBe(few + 1);
    expect(event.tryRead()).toBeUndefined();
  });
});

describe.skipIf(!executesGuests)(`a guest that a Worker answers${why}`, () => {
  it(`sends each of ${some / 2} messages back, from the thread that runs the VP`, async () => {
    const count = some / 2;
    using guest = new DeviceGuest();
    const area = new SynicGuestMemory(guest.view, 0);
    await using thread = await VmmThread.start();
    await using vmm = await WorkerVmm.start(thread, guest, 0, undefined, { connection, sint });
    expect(await vmm.run()).toBe('work');
    await vmm.perform({ command: 'interrupts' });
    await vmm.perform({ command: 'synic', address: synicParts.all, value: 1 << sint });
    // Nobody takes the answers until the guest has to post again for them.
    area.hold = 0xffff;
    const posting = vmm.perform({ command: 'post', count, address: connection });
    await until(() => (area.statuses['HV_STATUS_INSUFFICIENT_BUFFERS'] ?? 0) > 10);
    area.hold = 0;
    await posting;
    vmm.order({ command: 'receive' });
    const run = vmm.run();
    await until(() => area.messages >= count);
    guest.view.stop(0);
    guest.partition.requestInterrupt({ vector: wakeVector });
    expect(await run).toBe('work');
    expect(area.received(sint)).toEqual(sequence(0, count));
    expect(area.badMessages).toBe(0);
    expect(area.statuses['HV_STATUS_SUCCESS']).toBe(count);
    expect(area.eoms).toBeGreaterThan(0);
  });
});
