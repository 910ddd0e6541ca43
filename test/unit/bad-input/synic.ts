import { integer, keyed, required, typedArray } from './argument.js';
import { type Row, implementationRows, orNothing, rows } from './row.js';
import type { Subjects } from './subjects.js';

export const noVp = (): boolean => false;

export const handleMessage = (): undefined => undefined;

export const handleEvent = (): undefined => undefined;

export const noBytes = new Uint8Array();

export const connectionId = required(integer('connectionId', 0, 0xffffff));

export const minimumVtl = required(integer('minimumVtl', 0, 15));

export const ofTarget = {
  vtl: required(integer('vtl', 0, 15)),
  vp: required(integer('vp', 0, 255)),
  sint: required(integer('sint', 0, 15)),
  flag: required(integer('flag', 0, 2047)),
};

/** The VTL, the VP and the SINT that a method begins with. */
export function targetRows(subject: keyof Subjects, method: string, ...others: unknown[]): Row[] {
  return rows(
    subject,
    method,
    [(wrong) => [wrong, 0, 2, ...others], ofTarget.vtl],
    [(wrong) => [0, wrong, 2, ...others], ofTarget.vp],
    [(wrong) => [0, 0, wrong, ...others], ofTarget.sint],
  );
}

/** The type and the payload of a message, after `before`. */
export function messageRows(
  subject: keyof Subjects,
  method: string,
  args: (...message: unknown[]) => unknown[],
  owner = '',
): Row[] {
  return rows(
    subject,
    method,
    [(wrong) => args(wrong, noBytes), required(integer(`${owner}type`, 1, 0xffffffff))],
    [
      (wrong) => args(1, wrong),
      required(typedArray(`${owner}payload`, 'Uint8Array')),
      {
        name: `${owner}payload`,
        accepts: 'up to 240 bytes',
        wrong: [241, 4096].map((length) => ({
          value: new Uint8Array(length),
          error: 'range',
          shown: `${length} bytes`,
        })),
      },
    ],
  );
}

const pageMethods = ['page', 'allocatePage', 'freePage'];

/** A constructor's option `memory`, whose pages may be absent. */
export function memoryRows(
  subject: keyof Subjects,
  args: (memory: unknown) => unknown[],
  right: object = {},
  ...methods: string[]
): Row[] {
  const rowsOfAll = implementationRows(
    subject,
    'new',
    args,
    'options.memory',
    right,
    ...methods,
    ...pageMethods,
  );
  const names = pageMethods.map((method) => `options.memory.${method}`);
  return rowsOfAll.map(orNothing('options.memory', ...names));
}

/** The owner of a VP's notifications, behind the VP. */
export const ownerRows = (subject: keyof Subjects): Row[] =>
  implementationRows(
    subject,
    'attachVp',
    (owner) => [1, owner],
    'owner',
    {},
    'setDeliverabilityNotifications',
  );

/** What a guest's event may be monitored by, behind other arguments. */
export function monitorInfoRows(
  subject: keyof Subjects,
  method: string,
  ...before: unknown[]
): Row[] {
  const monitorInfo = { monitorId: 1, latency: 0 };
  return rows(
    subject,
    method,
    [(wrong) => [...before, wrong], ...keyed('monitorInfo', 'monitorId', 'latency')],
    [
      (wrong) => [...before, { ...monitorInfo, monitorId: wrong }],
      required(integer('monitorInfo.monitorId', 0, 127)),
    ],
    [
      (wrong) => [...before, { ...monitorInfo, latency: wrong }],
      required(integer('monitorInfo.latency', 0, 0xffff)),
    ],
  );
}
