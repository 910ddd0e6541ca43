import type { HostEventPort, HostMessagePort } from '../../../lib/synic/host-ports.js';

export const message = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

/** A message port that writes down what it gets and answers what it is told to. */
export function messagePort(answer: (message: Uint8Array) => unknown = () => undefined) {
  const seen: number[][] = [];
  const port: HostMessagePort = {
    handleMessage: (bytes) => {
      seen.push([...bytes]);
      return answer(bytes);
    },
  };
  return { port, seen };
}

/** An event port that does the same. */
export function eventPort(answer: (flag: number) => unknown = () => undefined) {
  const seen: number[] = [];
  const port: HostEventPort = {
    handleEvent: (flag) => {
      seen.push(flag);
      return answer(flag);
    },
  };
  return { port, seen };
}

/** A promise and its ends. */
export function deferred() {
  let resolve: (value?: unknown) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<unknown>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

export const settled = (): Promise<void> => new Promise(setImmediate);
