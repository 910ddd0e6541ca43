import { getHeapStatistics } from 'node:v8';

import { encodeMessage } from '../../../lib/sim/encode-message.js';
import { InterceptMessages } from '../../../lib/abi/intercepts.js';

// Decodes a million messages the way a VMM does and says by how many bytes the heap grew. It is started
// with a young generation that holds all of what it could allocate: nothing is collected in between.

const message = encodeMessage('io-port', { port: 0x3f8, size: 1, access: 'write', rax: 0x41 });
const messages = new InterceptMessages(message, 'x64');
const decodes = 1_000_000;

/** The next message: another port and value each time, as it were. */
function deliver(i: number): void {
  message[56] = i & 0xff;
  message[64] = (i >> 8) & 0xff;
}

function numbers(times: number): number {
  let sum = 0;
  for (let i = 0; i < times; i++) {
    deliver(i);
    const exit = messages.current;
    if (exit.type === 'io-port') {
      sum = (sum + exit.port + exit.size + exit.value + exit.vpIndex) | 0;
      sum = (sum + exit.instructionLength + exit.cpl + exit.vtl + exit.payloadSize) | 0;
      if (exit.isWrite && !exit.isString && !exit.isRep && !exit.is64Bit) sum = (sum + 1) | 0;
    }
  }
  return sum;
}

function words(times: number): bigint {
  let last = 0n;
  for (let i = 0; i < times; i++) {
    deliver(i);
    const exit = messages.current;
    if (exit.type === 'io-port') last = exit.rax | exit.rip;
  }
  return last;
}

function growth(read: (times: number) => unknown): number {
  // Until V8 has compiled it for good.
  for (let i = 0; i < 20; i++) read(20_000);
  const before = getHeapStatistics().used_heap_size;
  read(decodes);
  return getHeapStatistics().used_heap_size - before;
}

const read = process.argv[2] === 'words' ? words : numbers;
process.stdout.write(`${growth(read)}\n`);
