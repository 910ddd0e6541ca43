// A guest that prints a text and asks for a number, through ports. With /dev/mshv its code runs; without,
// the simulator plays it:
//
//   npx tsx examples/port-io.ts

import { openGuest } from './guest.js';

const serial = 0x3f8;
const keyboard = 0x60;
const answer = 0x61;
const done = 0xf4;
const text = 'Hello from the guest\n';

const machineCode = Uint8Array.of(
  ...[0xba, 0xf8, 0x03, 0x00, 0x00], //             mov  $0x3f8, %edx
  ...[0x48, 0x8d, 0x35, 0x11, 0x00, 0x00, 0x00], // lea  text(%rip), %rsi
  ...[0xac], //                               next: lodsb
  ...[0x84, 0xc0], //                               test %al, %al
  ...[0x74, 0x03], //                               jz   asked
  ...[0xee], //                                     out  %al, %dx
  ...[0xeb, 0xf8], //                               jmp  next
  ...[0xe4, keyboard], //                    asked: in   $0x60, %al
  ...[0xfe, 0xc0], //                               inc  %al
  ...[0xe6, answer], //                             out  %al, $0x61
  ...[0xe6, done], //                               out  %al, $0xf4
  ...[0xf4], //                                     hlt
  ...new TextEncoder().encode(`${text}\0`),
);

using guest = openGuest(machineCode, (script) => {
  for (const character of text) {
    script.out(serial, 1, character.charCodeAt(0));
  }
  script.in(keyboard, 1).out(answer, 1, 42).out(done, 1, 42);
});
console.log(`on ${guest.machine}:`);

const run = guest.vp.start((exit) => {
  if (exit.type !== 'io-port') {
    throw new Error(`the guest left with ${exit.type}`);
  }
  if (exit.port === done) {
    return 'stop';
  }
  if (!exit.isWrite) {
    guest.vp.completeIoPort(exit, 41);
    return undefined;
  }
  if (exit.port === serial) {
    process.stdout.write(String.fromCharCode(exit.value));
  } else {
    console.log(`41 + 1 = ${exit.value}`);
  }
  guest.vp.completeIoPort(exit);
  return undefined;
});
await run.finished;
