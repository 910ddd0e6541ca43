import { type Argument, symbol, type } from './argument.js';

// Nobody ever owned these descriptors: arguments are refused before they are looked at.
export const offerOf = (descriptors: number): Int32Array =>
  new Int32Array(new SharedArrayBuffer(4 * (2 + descriptors)));

export const apicIds = new SharedArrayBuffer(2048);

export const partitionToken = {
  type: 'mshv-partition',
  addon: 'mshv',
  offer: offerOf(1),
  apicIds,
} as const;

export const memoryToken = {
  type: 'mshv-memory',
  addon: 'mshv',
  offer: offerOf(1),
  offset: 0,
  size: 4096,
} as const;

export const vpToken = {
  type: 'mshv-vp',
  addon: 'mshv',
  index: 0,
  offer: offerOf(3),
  apicIds,
} as const;

export const eventToken = {
  type: 'mshv-event',
  addon: 'mshv',
  offer: offerOf(1),
  semaphore: false,
} as const;

export function token(of: string, valid: { type: string; offer: Int32Array }): Argument {
  const wrong = type(undefined, null, 1, 1n, 'mshv-vp', true, {}, [], symbol, () => valid);
  const damaged = [
    { ...valid, type: 'mshv-other' },
    ...[undefined, null, '', 'mshv_other', 1, ['mshv'], symbol].map((addon) => ({
      ...valid,
      addon,
    })),
    { ...valid, offer: undefined },
    { ...valid, offer: [...valid.offer] },
    { ...valid, offer: valid.offer.slice() },
    { ...valid, offer: offerOf(valid.offer.length) },
    { ...valid, offer: new Uint32Array(valid.offer.buffer) },
  ];
  return {
    name: 'token',
    accepts: `a token that ${of}.share() returned in this process`,
    wrong: [...wrong, ...type(...damaged)],
  };
}
