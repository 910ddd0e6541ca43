import { parentPort, workerData } from 'node:worker_threads';

import { GuestMemory, type GuestMemoryToken } from '../../../lib/index.js';
import { simNative } from '../../../lib/sim/sim-native.js';
import { postMessageInput, retargetInput } from '../../guest-hypercall.js';

// Writes the inputs of hypercalls in guest memory over and over, right ones and wrong ones, as another VP of a malicious
// guest does.

/** What the thread is started with. */
export interface HammerWork {
  readonly memory: GuestMemoryToken;
  /** Where in it the input of an `HvPostMessage` is. */
  readonly post: number;
  /** Where that of an `HvRetargetDeviceInterrupt` with a processor set of two banks is. */
  readonly retarget: number;
  /** It ends when this is not 0, or after so many rounds that something must be wrong. */
  readonly stop: Int32Array;
}

const mostRounds = 200_000_000;

function hammer({ memory: token, post, retarget, stop }: HammerWork): void {
  using memory = GuestMemory.receive(token, { native: simNative() });
  memory.write(post, postMessageInput(1, new Uint8Array(240).fill(1)));
  memory.write(retarget, retargetInput({ flags: 2 }, 0b11n, 1n, 1n));
  const words = memory.view(Uint32Array);
  const sizes = [0, 1, 240, 241, 0x7fff_ffff, 0xffff_ffff];
  const masks = [0b11, 0b1, 0, 0xffff_ffff, 0b101];
  parentPort?.postMessage('hammering');
  for (let round = 0; round < mostRounds && Atomics.load(stop, 0) === 0; round++) {
    words[post / 4 + 3] = sizes[round % sizes.length] ?? 0;
    words[post / 4] = round % 7 === 0 ? 3 : 1;
    words[retarget / 4 + 14] = masks[round % masks.length] ?? 0;
    words[retarget / 4 + 16] = round;
  }
}

hammer(workerData as HammerWork);
