import { beforeEach, describe, expect, it } from 'vitest';

import { addContactPorts } from '../../examples/vmbus-contact.js';
import { hvStatusCodes } from '../../lib/abi/hv-status.js';
import {
  PartitionSynic,
  SynicPorts,
  type MshvError,
  type SynicPartition,
} from '../../lib/index.js';

// What guests of VMBus post first, as examples/vmbus-hello.ts answers it.

let lines: string[];
let errors: MshvError[];
/** What the guest got: VP, SINT, and the message's words. */
let answers: unknown[][];
let synic: PartitionSynic;

beforeEach(() => {
  [lines, errors, answers] = [[], [], []];
  const partition: SynicPartition = {
    hasVp: (index) => index < 2,
    postMessageDirect: ({ vp, sint, type, payload = new Uint8Array() }) => {
      const words = new Uint32Array(new Uint8Array(payload).buffer);
      answers.push([vp, sint, type, ...words]);
    },
    signalEventDirect: () => false,
    getRegisters: () => new BigUint64Array(2),
    setRegisters: () => undefined,
    installIntercept: () => undefined,
  };
  synic = new PartitionSynic(partition, {
    memory: { read: () => false },
    onError: (error) => errors.push(error),
  });
  addContactPorts(new SynicPorts(synic), (line) => lines.push(line));
});

interface Contact {
  version: number;
  connection?: number;
  vp?: number;
  /** Of the SINT's field: older guests have an address there. */
  sint?: number;
  size?: number;
  type?: number;
}

function post({ version, connection = 4, vp = 0, sint = 2, size = 40, type = 14 }: Contact) {
  const message = new Uint8Array(size);
  const words = new Uint32Array(message.buffer, 0, Math.floor(size / 4));
  words.set([type, 0, version, vp, sint].slice(0, words.length));
  return synic.portMap.handlePostMessage(0, connection, false, message);
}

describe('INITIATE_CONTACT', () => {
  it.each([0x2_0004, 0x3_0000, 0x4_0000, 0x4_0001])(
    'of version %#x comes by connection 1, and is answered by VMBus’s SINT',
    (version) => {
      expect(post({ version, connection: 1, vp: 1, sint: 0x1234_5000 })).toBe(0);
      expect(answers).toEqual([[1, 2, 1, 15, 0, 1, 1]]);
    },
  );

  it.each([0x5_0000, 0x5_0001, 0x5_0002])(
    'of version %#x comes by connection 4, and says the SINT',
    (version) => {
      expect(post({ version, vp: 1, sint: 5 })).toBe(0);
      expect(answers).toEqual([[1, 5, 1, 15, 0, 1, 4]]);
    },
  );

  it.each([0xd, 0x1_0001, 0x2_0003, 0x2_0005, 0x4_0002, 0x5_0003, 0x6_0000, 0xffff_ffff])(
    'of version %#x is answered, and not supported',
    (version) => {
      expect(post({ version })).toBe(0);
      expect(answers.map((words) => words.slice(0, 6))).toEqual([[0, 2, 1, 15, 0, 0]]);
    },
  );

  it.each([40, 41, 56, 240])('may have %i bytes', (size) => {
    expect(post({ version: 0x5_0002, size })).toBe(0);
    expect(answers).toHaveLength(1);
  });

  it.each<[string, Contact]>([
    ['with 39 bytes', { version: 0x5_0002, size: 39 }],
    ['without any', { version: 0x5_0002, size: 0 }],
    ['of another type', { version: 0x5_0002, type: 3 }],
    ['of a VP that there is not', { version: 0x5_0002, vp: 2 }],
    ['of a VP that there cannot be', { version: 0x5_0002, vp: 0xffff_ffff }],
    ['of a SINT that there is not', { version: 0x5_0002, sint: 16 }],
  ])('%s fails, and the next is answered', (_, contact) => {
    expect(post(contact)).toBe(hvStatusCodes.HV_STATUS_OPERATION_FAILED);
    expect(errors).toMatchObject([{ code: 'ERR_MSHV_PORT_HANDLER' }]);
    expect(post({ version: 0x5_0002 })).toBe(0);
    expect(answers).toHaveLength(1);
    expect(lines.at(-1)).toBe('the guest asks for version 5.2, by SINT 2 of VP 0');
  });
});
