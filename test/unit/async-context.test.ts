import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';

import {
  EventFd,
  FailureReports,
  GuestMessages,
  Interrupt,
  MshvError,
  PartitionSynic,
  SynicPorts,
} from '../../lib/index.js';
import { Simulator } from '../../lib/sim/index.js';
import { hypercall } from '../guest-hypercall.js';
import { simulatedMachine, type SimulatedMachine } from '../simulated-machine.js';

// Functions of the caller's run in the async context in which they were given, whoever has them called and from where.

const { native } = Simulator;
const storage = new AsyncLocalStorage<string>();
let machine: SimulatedMachine;
let seen: (string | undefined)[];
const see = (): undefined => {
  seen.push(storage.getStore());
};
/** Gives something in the context whose store is asked for. */
const given = <Result>(give: () => Result): Result => storage.run('given', give);
/** What calls it does so in another one. */
const elsewhere = <Result>(call: () => Result): Result => storage.run('elsewhere', call);

beforeEach(() => {
  machine = simulatedMachine(2);
  seen = [];
});

afterEach(() => {
  machine.simulator.close();
});

/** Until something was seen. */
async function once(): Promise<void> {
  while (seen.length === 0) await nextTurn();
}

test('listeners of an eventfd, each in its own', async () => {
  using event = EventFd.create({ native });
  given(() => event.watch(see));
  storage.run('other', () => event.watch(see));
  event.watch(see);
  elsewhere(() => {
    event.signal();
  });
  await once();
  expect(seen).toEqual(['given', 'other', undefined]);
});

test('listeners of a doorbell', async () => {
  const { partition, simulator } = machine;
  const doorbell = partition.registerDoorbell({ gpa: 0x1000 });
  given(() => doorbell.event.watch(see));
  elsewhere(() => simulator.writeMmio(partition, 0x1000, 4, 1));
  await once();
  expect(seen).toEqual(['given']);
});

test('a handler of exits, for each exit, also where it answers later', async () => {
  const { vp, guest } = machine;
  guest.out(0x80, 1, 0).out(0x80, 1, 1).out(0xf4, 1, 0);
  let exits = 0;
  const run = given(() =>
    vp.start(async () => {
      const isLast = ++exits === 3;
      see();
      await nextTurn();
      see();
      return isLast ? 'stop' : undefined;
    }),
  );
  await elsewhere(() => run.finished);
  expect(seen).toEqual(Array.from({ length: 6 }, () => 'given'));
});

test('handlers of messages and events, and of events that have added up', async () => {
  const { partition } = machine;
  using synic = new PartitionSynic(partition, { native });
  const ports = new SynicPorts(synic);
  given(() => {
    ports.addMessagePort(1, 0, { handleMessage: see });
    ports.addEventPort(2, 0, { handleEvent: see });
    ports.addEventPort(3, 0, {
      handleEvent: async () => {
        see();
        await nextTurn();
        see();
      },
    });
  });
  elsewhere(() => {
    synic.portMap.handlePostMessage(0, 1, false, new Uint8Array(4));
    synic.portMap.handleSignalEvent(0, 2, 0);
    synic.portMap.handleSignalEvent(0, 3, 0);
    synic.portMap.handleSignalEvent(0, 3, 0);
  });
  while (seen.length < 6) await nextTurn();
  expect(seen).toEqual(Array.from({ length: 6 }, () => 'given'));
});

test('handlers keep their object', () => {
  const { partition } = machine;
  using synic = new PartitionSynic(partition, { native });
  const called: unknown[] = [];
  class Port {
    handleMessage(): undefined {
      called.push(this);
    }
    handleEvent(): undefined {
      called.push(this);
    }
    setDeliverabilityNotifications(): undefined {
      called.push(this);
    }
  }
  const port = new Port();
  synic.portMap.addMessagePort(1, 0, port);
  synic.portMap.addEventPort(2, 0, port);
  synic.portMap.handlePostMessage(0, 1, false, new Uint8Array(4));
  synic.portMap.handleSignalEvent(0, 2, 0);
  expect(called).toEqual([port, port]);
});

test('definitions of hypercalls, and the handler that retargets interrupts', () => {
  const { partition } = machine;
  using synic = given(
    () =>
      new PartitionSynic(partition, {
        native,
        memory: {
          read: (_, into) => {
            into.fill(0);
            // An MSI of any device, to VP 0.
            into[16] = 1;
            into[48] = 1;
            return true;
          },
        },
        retargetDeviceInterrupt: () => {
          see();
          return 0;
        },
      }),
  );
  const definition = {
    code: 0x7777,
    name: 'HvNothing',
    inputSize: 0,
    handle() {
      see();
      expect(this).toBe(definition);
      return 0;
    },
  };
  given(() => synic.hypercalls.add(definition));
  elsewhere(() => {
    synic.hypercalls.dispatch(hypercall({ code: 0x7777, fast: true }));
    synic.hypercalls.dispatch(hypercall({ code: 0x7e, input: 0x1000n }));
  });
  expect(seen).toEqual(['given', 'given']);
});

test('the owner of a VP', () => {
  const messages = new GuestMessages({ hasVp: () => true, postMessage: () => 0x13 });
  given(() => messages.attachVp(0, { setDeliverabilityNotifications: see }));
  elsewhere(() => {
    void messages.postMessage(0, 0, 2, 1, new Uint8Array(4));
  });
  expect(seen).toEqual(['given']);
});

test('the function of an interrupt, whoever asks for its event first', async () => {
  using interrupt = given(() => Interrupt.fromFunction(see, { native }));
  const { event } = elsewhere(() => interrupt);
  event.signal();
  await once();
  expect(seen).toEqual(['given']);
  // Who delivers it is the caller.
  elsewhere(() => {
    interrupt.deliver();
  });
  expect(seen).toEqual(['given', 'elsewhere']);
});

test('listeners of failures', () => {
  const reports = given(() => new FailureReports(see));
  elsewhere(() => {
    reports.report({}, () => new MshvError('no', { code: 'EIO' }));
  });
  const onError = given(() => new GuestMessages(refusing, { onError: see }));
  elsewhere(() => {
    void onError.postMessage(0, 0, 2, 1, new Uint8Array(4));
  });
  expect(seen).toEqual(['given', 'given']);
});

const refusing = { hasVp: () => true, postMessage: () => 5 };

test('whoever awaits or iterates goes on in its own', async () => {
  const { partition, simulator } = machine;
  using event = EventFd.create({ native });
  const waiting = given(async () => {
    await event.wait();
    see();
    for await (const count of event) {
      expect(count).toBe(2n);
      see();
      break;
    }
    for await (const interrupt of simulator.watchInterrupts(partition)) {
      expect(interrupt.vector).toBe(0x41);
      see();
      break;
    }
  });
  elsewhere(() => {
    event.signal();
  });
  while (seen.length < 1) await nextTurn();
  await nextTurn();
  elsewhere(() => {
    event.signal(2);
  });
  while (seen.length < 2) await nextTurn();
  const route = partition.irqfd.newRoute({ msi: { address: 0xfee00000, data: 0x41 } });
  elsewhere(() => {
    route.event.signal();
  });
  await waiting;
  expect(seen).toEqual(['given', 'given', 'given']);
});
