import { expect } from 'vitest';

import { encodeMessage } from '../../../../lib/sim/encode-message.js';
import {
  EventFd,
  GuestMemory,
  type Handle,
  type MshvError,
  PartitionSynic,
  SynicPorts,
} from '../../../../lib/index.js';
import { DeliverabilityRegister } from '../../../../lib/synic/deliverability-register.js';
import { hypercallMessage, signalEventInput } from '../../../guest-hypercall.js';
import type { Operation } from '../engine.js';
import type { FaultKind } from '../errnos.js';
import type { Situation, Step } from '../situation.js';
import { begunAfterFirst } from './device.js';

const payload = Uint8Array.of(1, 2, 3);
const signalEvent = 0x5d;

/** Where the outcome is known of refused hypercalls only: one that is repeated inside has its usual one. */
function ofRefusals(outcome: 'begun' | 'otherwise'): NonNullable<Operation['outcome']> {
  return (step, fault) => (isRepeated(step, fault) ? undefined : outcome);
}

const isRepeated = ({ name }: Step, { errno, status }: FaultKind): boolean =>
  name === 'hypercall' && status === undefined && (errno === 'EINTR' || errno === 'EAGAIN');

const isBusy = ({ status }: FaultKind): boolean =>
  status === 'HV_STATUS_OBJECT_IN_USE' || status === 'HV_STATUS_INSUFFICIENT_BUFFERS';

/** The SynIC, with somewhere for failures to go: the next `check` throws the first of them. */
function arranged(situation: Situation) {
  const { partition, native, driver } = situation;
  const failures: MshvError[] = [];
  const memory = situation.own(GuestMemory.allocate(0x8000, { native }));
  situation.own(partition.mapMemory(memory, { gpa: 0 }));
  const synic = situation.own(
    new PartitionSynic(partition, {
      native,
      monitorPages: [0x4000n, 0x5000n],
      hostEventDoorbell: (connectionId) => ({ gpa: 0xf0000000 + 8 * connectionId, size: 8 }),
      retargetDeviceInterrupt: () => 0,
      onError: (error) => failures.push(error),
    }),
  );
  const ports = situation.own(new SynicPorts(synic));
  const event = situation.own(EventFd.create({ native }));
  situation.observe(() => synic.messages.save().queues.length);
  const check = (): void => {
    const [first] = failures.splice(0);
    if (first !== undefined) throw first;
  };
  return { situation, partition, native, driver, synic, ports, event, check };
}

type Arranged = ReturnType<typeof arranged>;

function onSynic(
  name: string,
  arrange: (arranged: Arranged) => () => unknown,
  more: Partial<Operation> = {},
): Operation {
  return {
    name,
    arrange: (situation) => {
      const there = arranged(situation);
      const act = arrange(there);
      return () => {
        act();
        there.check();
      };
    },
    ...more,
  };
}

/** Posts what a port or the SynIC would, and where that waits already, what waits is asked about again. */
const orAskAgain =
  ({ synic }: Arranged, post: () => unknown): (() => void) =>
  () => {
    if (synic.messages.size === 0) void post();
    else synic.messages.sintsDeliverable(0, 1, 0);
  };

const closings = ['close', Symbol.dispose] as const;
const refusedMessage = 'ERR_MSHV_MESSAGE_REFUSED';
const noNotification = 'ERR_MSHV_NOTIFICATION';
/** A message that finds its slot busy waits; refused for any other reason it is reported, and dropped. */
const posting: Partial<Operation> = {
  code: () => refusedMessage,
  outcome: (_, fault) => (isBusy(fault) ? 'otherwise' : undefined),
};

/** A message is posted first; then the register of the VP is to say whether another one waits. */
const postingAndAsking: Partial<Operation> = {
  code: (index) => (index === 0 ? refusedMessage : noNotification),
  outcome: (step, fault, index) => {
    if (isRepeated(step, fault)) return undefined;
    return index === 0 && isBusy(fault) ? 'otherwise' : 'begun';
  },
};
const asking: Partial<Operation> = { code: () => noNotification, outcome: ofRefusals('begun') };

/** Fills the slot of SINT 2 of VP 1. */
function fillSlot({ synic, check }: Arranged): void {
  void synic.postMessage(0, 1, 2, 1, payload);
  check();
}

/** Has a message wait for that slot. */
function queueMessage(there: Arranged): void {
  fillSlot(there);
  there.situation.own(there.synic.attachVp(1));
  fillSlot(there);
}

const deliverable = encodeMessage('sint-deliverable', { vpIndex: 1, deliverableSints: 1 << 2 });

function arrangePort(there: Arranged): Handle {
  const { ports, event } = there;
  return ports.addEventPort(7, 0, { osEvent: event }, { monitorId: 3, latency: 10 });
}

export const synics: readonly Operation[] = [
  onSynic(
    'synic.installIntercepts()',
    ({ synic }) =>
      () => {
        synic.installIntercepts();
      },
    { outcome: begunAfterFirst },
  ),
  onSynic(
    'synic.attachVp() while a message waits',
    (there) => {
      fillSlot(there);
      fillSlot(there);
      let attached: Disposable | undefined;
      return () => {
        if (attached === undefined) attached = there.situation.own(there.synic.attachVp(1));
        else there.synic.messages.sintsDeliverable(0, 1, 0);
      };
    },
    asking,
  ),
  onSynic(
    'messages.attachVp() while a message waits',
    (there) => {
      fillSlot(there);
      fillSlot(there);
      const { messages } = there.synic;
      const owner = new DeliverabilityRegister(there.partition, 1);
      let attached: Disposable | undefined;
      return () => {
        if (attached === undefined) attached = there.situation.own(messages.attachVp(1, owner));
        else messages.sintsDeliverable(0, 1, 0);
      };
    },
    asking,
  ),
  onSynic(
    'synic.postMessage()',
    ({ synic }) =>
      () =>
        synic.postMessage(0, 1, 2, 1, payload),
    posting,
  ),
  onSynic(
    'ports.postMessage()',
    ({ ports }) =>
      () =>
        ports.postMessage(0, 1, 2, 1, payload),
    posting,
  ),
  onSynic(
    'messages.postMessage()',
    ({ synic }) =>
      () =>
        synic.messages.postMessage(0, 1, 2, 1, payload),
    posting,
  ),
  onSynic(
    'guestMessagePort.post()',
    ({ ports }) => {
      const port = ports.newGuestMessagePort(0, 1, 2);
      return () => port.post(1, payload);
    },
    posting,
  ),
  onSynic(
    'postMessage() to a busy slot',
    (there) => {
      fillSlot(there);
      there.situation.own(there.synic.attachVp(1));
      return orAskAgain(there, () => there.synic.postMessage(0, 1, 2, 1, payload));
    },
    postingAndAsking,
  ),
  onSynic(
    "handleExit() of 'sint-deliverable'",
    (there) => {
      queueMessage(there);
      there.driver.emptySlots();
      const vp = there.situation.vp(1);
      there.driver.exitWith(there.situation.partition, vp, deliverable);
      const exit = vp.run();
      if (exit === undefined) throw new Error('the VP did not exit');
      return () => {
        if (there.synic.messages.size === 0) fillSlot(there);
        else expect(there.synic.handleExit(vp, exit)).toBe(true);
      };
    },
    postingAndAsking,
  ),
  onSynic("handleExit() of 'hypercall'", (there) => {
    const { driver, situation, synic } = there;
    const vp = situation.vp(0);
    expect(vp.registerPage).toBeDefined();
    const input = signalEventInput(7, 0);
    driver.exitWith(
      situation.partition,
      vp,
      hypercallMessage({ code: signalEvent, fast: true, input }),
    );
    const exit = vp.run();
    if (exit === undefined) throw new Error('the VP did not exit');
    return () => {
      synic.handleExit(vp, exit);
    };
  }),
  onSynic(
    'guestMessagePort.setTargetVp() with a message that waits',
    (there) => {
      fillSlot(there);
      const port = there.ports.newGuestMessagePort(0, 1, 2);
      void port.post(1, payload);
      let moved = false;
      return () => {
        if (moved) void port.post(1, payload);
        else port.setTargetVp(2);
        moved = true;
      };
    },
    postingAndAsking,
  ),
  ...closings.map((method) =>
    onSynic(`${String(method)} of a guestMessagePort whose message waits`, (there) => {
      fillSlot(there);
      const port = there.ports.newGuestMessagePort(0, 1, 2);
      void port.post(1, payload);
      return () => {
        port[method]();
      };
    }),
  ),
  onSynic(
    'ports.addEventPort(), with a doorbell and a monitor',
    (there) => () => there.situation.own(arrangePort(there)),
  ),
  ...closings.map((method) =>
    onSynic(
      `${String(method)} of an event port with a doorbell`,
      (there) => {
        const port = arrangePort(there);
        return () => {
          port[method]();
        };
      },
      // The rest is closed, and the doorbell is left for another time.
      { outcome: ofRefusals('begun') },
    ),
  ),
  onSynic('synic.newHostEventPort()', ({ synic, event, situation }) => () => {
    const port = synic.newHostEventPort(7, 0, event);
    if (port === undefined) throw new Error('there is no doorbell');
    situation.own(port);
  }),
  onSynic('guestEventPort.signal()', ({ synic, situation }) => {
    const port = situation.own(synic.newGuestEventPort());
    port.set(0, 1, 2, 3);
    port.setTargetVp(2);
    return () => port.signal();
  }),
  onSynic(
    "a guest event port's interrupt, delivered",
    ({ synic, situation }) => {
      const port = situation.own(synic.newGuestEventPort());
      port.set(0, 1, 2, 3);
      return () => {
        port.interrupt().deliver();
      };
    },
    { code: () => 'ERR_MSHV_EVENT_REFUSED' },
  ),
  onSynic("a guest event port's interrupt as an event", ({ synic, situation }) => {
    const port = situation.own(synic.newGuestEventPort());
    return () => port.interrupt().event;
  }),
  onSynic('ports.newGuestEventPort()', ({ ports, situation }) => () => {
    situation.own(ports.newGuestEventPort());
    situation.own(ports.newGuestEventPort(1, 0, 1, 2, 3));
  }),
  onSynic(
    'messages.restore()',
    (there) => {
      queueMessage(there);
      const saved = there.synic.messages.save();
      return () => {
        there.driver.emptySlots();
        there.synic.messages.restore(saved);
      };
    },
    postingAndAsking,
  ),
  ...(['messages', 'synic'] as const).map((what) =>
    onSynic(
      `${what}.reset()`,
      (there) => {
        queueMessage(there);
        const { synic } = there;
        return () => {
          (what === 'synic' ? synic : synic.messages).reset();
        };
      },
      asking,
    ),
  ),
  ...closings.map((method) =>
    onSynic(
      `${String(method)} of the SynIC`,
      (there) => {
        queueMessage(there);
        const { synic } = there;
        return () => {
          if (synic.closed) synic.reset();
          else synic[method]();
        };
      },
      asking,
    ),
  ),
];
