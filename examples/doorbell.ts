// A guest that rings a doorbell: its writes signal an eventfd, and the VP does not exit for them. With
// /dev/mshv its code runs; without, the simulator plays it:
//
//   npx tsx examples/doorbell.ts

import { openGuest } from './guest.js';

const queueNotify = 0xd0000000;
const rings = 5;
const done = 0xf4;

const machineCode = Uint8Array.of(
  ...[0xbf, 0x00, 0x00, 0x00, 0xd0], //       mov  $0xd0000000, %edi
  ...[0xb8, rings, 0x00, 0x00, 0x00], //      mov  $5, %eax
  ...[0x89, 0x07], //                   next: mov  %eax, (%rdi)
  ...[0xff, 0xc8], //                         dec  %eax
  ...[0x75, 0xfa], //                         jnz  next
  ...[0x89, 0x47, 0x08], //                   mov  %eax, 8(%rdi)
  ...[0xe6, done], //                         out  %al, $0xf4
  ...[0xf4], //                               hlt
);

using guest = openGuest(machineCode, (script) => {
  for (let value = rings; value > 0; value--) {
    script.mmioWrite(queueNotify, 4, value);
  }
  script.mmioWrite(queueNotify + 8, 4, 0).out(done, 1, 0);
});
console.log(`on ${guest.machine}:`);

using doorbell = guest.partition.registerDoorbell({ gpa: queueNotify, size: 4, name: 'queue 0' });
let rung = 0n;
doorbell.event.watch((count) => {
  rung += count;
});

const run = guest.vp.start((exit) => {
  switch (exit.type) {
    case 'unmapped-gpa':
      console.log(`a write that rings nothing exits: GPA 0x${exit.gpa.toString(16)}`);
      guest.vp.skipInstruction(exit);
      return undefined;
    case 'io-port':
      return 'stop';
    default:
      throw new Error(`the guest left with ${exit.type}`);
  }
});
await run.finished;
// What the watcher has not seen yet is in the eventfd.
rung += doorbell.event.tryRead() ?? 0n;
console.log(`rung ${rung} times without an exit`);
