import { hypercalls } from '../../../../lib/abi/hypercalls.js';
import { partitionProperties } from '../../../../lib/abi/properties.js';
import {
  GuestMemory,
  type Partition,
  type PartitionCalls,
  type PartitionOptions,
  SharedPartition,
} from '../../../../lib/index.js';
import { enableSynic } from '../../../enable-synic.js';
import type { FaultKind } from '../errnos.js';
import type { Operation, Outcome } from '../engine.js';
import type { Situation, Step } from '../situation.js';

const isHypercall = ({ name }: Step): boolean =>
  name === 'hypercall' || name === 'MSHV_ROOT_HVCALL';

/** For operations to which it is no error that the hypervisor refuses something. */
const without = (step: Step, { errno, status }: FaultKind): Outcome | undefined =>
  !isHypercall(step) || ((errno === 'EINTR' || errno === 'EAGAIN') && status === undefined)
    ? undefined
    : 'otherwise';

/** What the hypervisor refuses is no error, but told. */
const toldWhereRefused: NonNullable<Operation['outcome']> = (_, { status }) =>
  status === undefined ? undefined : 'otherwise';

/** Where the first of several steps has been made, trying again makes it again. */
export const begunAfterFirst: NonNullable<Operation['outcome']> = (
  step,
  { errno, status },
  index,
) =>
  index === 0 || (isHypercall(step) && status === undefined && /EINTR|EAGAIN/.test(errno))
    ? undefined
    : 'begun';

function creation(
  name: string,
  options: PartitionOptions,
  outcome?: Operation['outcome'],
): Operation {
  return {
    name: `createPartition(), ${name}`,
    arrange: (situation) => () => situation.own(situation.device.createPartition(options)),
    ...(outcome && { outcome }),
  };
}

function initialization(
  name: string,
  options: PartitionOptions,
  outcome: Operation['outcome'],
): Operation {
  return {
    name: `initialize(), ${name}`,
    arrange: (situation) => {
      const partition = situation.own(situation.device.createPartition(options));
      return () => {
        partition.initialize();
      };
    },
    ...(outcome && { outcome }),
  };
}

const codes = Uint32Array.from({ length: 300 }, (_, i) => 0x20000 + (i % 16));
const leaves = Array.from({ length: 300 }, (_, eax) => ({ eax }));

/** A property by a hypercall: bytes 0 to 7 are the partition's id, which the driver writes. */
export function propertyCall(name: 'PROCESSOR_VENDOR' | 'MAX_XSAVE_DATA_SIZE') {
  const input = new Uint8Array(16);
  new DataView(input.buffer).setUint32(8, partitionProperties[name], true);
  return { code: 'HVCALL_GET_PARTITION_PROPERTY', input } as const;
}

/** Every hypercall that has a method, and `hypercall()` for any. */
const hypercallMethods: Record<string, (calls: PartitionCalls) => unknown> = {
  'hypercall()': (calls) => calls.hypercall(propertyCall('MAX_XSAVE_DATA_SIZE')),
  'hypercall() with two pages of reps': (calls) =>
    calls.hypercall({
      code: 'HVCALL_GET_VP_REGISTERS',
      input: new Uint8Array(hypercalls.HVCALL_GET_VP_REGISTERS.input + 4 * codes.length),
      reps: codes.length,
    }),
  'property()': (calls) => calls.property('SUSPEND'),
  'setProperty()': (calls) => {
    calls.setProperty('SUSPEND', 0);
  },
  'propertyEx()': (calls) => calls.propertyEx('VMM_CAPABILITIES', { size: 16 }),
  'installIntercept()': (calls) => {
    calls.installIntercept({ type: 'hypercall' });
  },
  'registerCpuidResult()': (calls) => {
    calls.registerCpuidResult({ leaf: 1 });
  },
  'registerMsrResult()': (calls) => {
    calls.registerMsrResult({ msr: 0x10, action: 'fault' });
  },
  'translateGva()': (calls) => calls.translateGva({ vp: 0, gva: 0x1000 }),
  'signalEventDirect()': (calls) => calls.signalEventDirect({ vp: 0, sint: 2, flag: 1 }),
  'postMessageDirect()': (calls) => {
    calls.postMessageDirect({ vp: 0, sint: 2, type: 1 });
  },
  'cpuidValues()': (calls) => calls.cpuidValues({ vp: 0, leaves: [{ eax: 1 }] }),
  'cpuidValues() of two pages': (calls) => calls.cpuidValues({ vp: 0, leaves }),
  'requestInterrupt()': (calls) => {
    calls.requestInterrupt({ vector: 0x41 });
  },
  'requestMsi()': (calls) => {
    calls.requestMsi(0xfee00000, 0x41);
  },
  'tryRequestInterrupt()': (calls) => calls.tryRequestInterrupt({ vector: 0x41 }),
  'tryRequestMsi()': (calls) => calls.tryRequestMsi(0xfee00000, 0x41),
  'clearVirtualInterrupt()': (calls) => {
    calls.clearVirtualInterrupt();
  },
  'getRegisters()': (calls) => calls.getRegisters(0, codes.subarray(0, 2)),
  'getRegisters() of two pages': (calls) => calls.getRegisters(0, codes),
  'setRegisters()': (calls) => {
    calls.setRegisters(0, codes.subarray(0, 2), new BigUint64Array(4));
  },
  'hasVp()': (calls) => calls.hasVp(0),
};

const shared = (situation: Situation): SharedPartition =>
  situation.own(SharedPartition.receive(situation.partition.share(), { native: situation.native }));

/** Changes that take more than one hypercall, which trying again makes again. */
const changesInParts: Record<string, (calls: PartitionCalls) => unknown> = {
  'setRegisters() of two pages': (calls) => {
    calls.setRegisters(0, codes.subarray(0, 200), new BigUint64Array(400));
  },
  'accessStates() that clears, of two pages': (calls) =>
    calls.accessStates({ gpa: 0, pages: 5000, clearDirty: true }),
};

const share = (one: Partition | SharedPartition, situation: Situation): void => {
  const token = one.share();
  situation.atEnd(() => {
    SharedPartition.receive(token, { native: situation.native }).close();
  });
};

export const devices: readonly Operation[] = [
  {
    name: 'Mshv.open()',
    arrange: (situation) => () => situation.own(situation.driver.open()),
  },
  {
    name: 'device.hypercall()',
    arrange:
      ({ device }) =>
      () =>
        device.hypercall(propertyCall('PROCESSOR_VENDOR')),
  },
  {
    name: 'device.property()',
    arrange:
      ({ device }) =>
      () =>
        device.property('PROCESSOR_VENDOR'),
  },
  {
    name: 'device.propertyEx()',
    arrange:
      ({ device }) =>
      () =>
        device.propertyEx('VMM_CAPABILITIES', { size: 16 }),
  },
  {
    name: 'device.hostProperties()',
    arrange:
      ({ device }) =>
      () =>
        device.hostProperties(),
    outcome: without,
  },
  creation('of either generation', {}, (step, fault) =>
    // Without feature banks, then.
    step.name !== 'hypercall' && step.ioctl === 'MSHV_CREATE_PARTITION' && fault.errno === 'EINVAL'
      ? 'otherwise'
      : without(step, fault),
  ),
  creation('which needs feature banks', { disabledCpuFeatures: [1, 0] }, without),
  creation('with features that it must have', {
    disabledXsaveFeatures: 0,
    syntheticFeatures: ['hypervisor_present'],
  }),
  initialization('with what an unknown MSR usually does', {}, without),
  initialization(
    'with what an unknown MSR is to do',
    { unimplementedMsrAction: 'fault' },
    begunAfterFirst,
  ),
  {
    name: 'createVp()',
    arrange:
      ({ partition }) =>
      () =>
        partition.createVp(9),
  },
  {
    name: 'createVp() with an APIC id',
    arrange:
      ({ partition }) =>
      () =>
        partition.createVp(9, { apicId: 20 }).apicId,
    outcome: begunAfterFirst,
  },
  ...Object.entries({ ...hypercallMethods, ...changesInParts }).flatMap(([name, act]) =>
    [
      ['partition', ({ partition }: Situation) => partition] as const,
      ['sharedPartition', shared] as const,
    ].map(([owner, of]): Operation => ({
      name: `${owner}.${name}`,
      arrange: (situation) => {
        const { partition, native } = situation;
        if (/EventDirect|MessageDirect/.test(name)) enableSynic(partition, 0);
        if (name.startsWith('accessStates')) {
          const memory = situation.own(GuestMemory.allocate(0x200_0000, { native }));
          situation.own(partition.mapMemory(memory, { gpa: 0 }));
        }
        const calls = of(situation);
        return () => act(calls);
      },
      ...(name in changesInParts && { outcome: begunAfterFirst }),
      ...(name.startsWith('tryRequest') && { outcome: toldWhereRefused }),
    })),
  ),
  {
    name: 'partition.share()',
    arrange: (situation) => () => {
      share(situation.partition, situation);
    },
  },
  {
    name: 'sharedPartition.share()',
    arrange: (situation) => {
      const one = shared(situation);
      return () => {
        share(one, situation);
      };
    },
  },
  {
    name: 'SharedPartition.receive()',
    arrange: (situation) => {
      const { native, partition } = situation;
      const token = partition.share();
      situation.atEnd(() => {
        if (Atomics.load(token.offer, 0) === 0) SharedPartition.receive(token, { native }).close();
      });
      return () => situation.own(SharedPartition.receive(token, { native }));
    },
  },
  ...(['close', Symbol.dispose] as const).flatMap((method): Operation[] => [
    {
      name: `${String(method)} of a SharedPartition`,
      arrange: (situation) => {
        const one = shared(situation);
        return () => {
          one[method]();
        };
      },
    },
    {
      name: `${String(method)} of the device, with a doorbell`,
      arrange: (situation) => {
        situation.own(situation.partition.registerDoorbell({ gpa: 0x1000 }));
        return () => {
          situation.device[method]();
        };
      },
      outcome: () => 'ended',
    },
  ]),
];
