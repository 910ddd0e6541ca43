// A guest that agrees with its host on a version of the VMBus protocol, as a guest does before anything else
// on VMBus: messages over the SynIC, in both directions. With /dev/mshv its code runs; without, the simulator
// plays it:
//
//   npx tsx examples/vmbus-hello.ts

import { PartitionSynic, SynicPorts } from 'mshv';

import { openGuest } from './guest.js';
import { addContactPorts } from './vmbus-contact.js';

const initiateContact = 14;
const contactConnection = 4; // where guests of protocol 5.0 and later post INITIATE_CONTACT
const messageType = 1; // VMBus's
const sint = 2;
const guestVersion = 0x5_0003; // 5.3; the host has 5.2

const answer = 0xf1;
const done = 0xf4;
const messagePage = 0x9000;
const slot = messagePage + 256 * sint;
const input = 0x100100; // of HvPostMessage

const msrs = [
  [0x40000000, 1], //           GUEST_OS_ID: without one there is no hypercall page
  [0x40000001, 0x8000 | 1], //  HYPERCALL
  [0x40000083, messagePage | 1], // SIMP
  [0x40000090 + sint, 1 << 18], // its SINT, polled: messages, but no interrupts
  [0x40000080, 1], //           SCONTROL
] as const;

const contact = (version: number): Uint8Array =>
  // The version, the VP and the SINT to answer to, no monitor pages.
  words(initiateContact, 0, version, 0, sint, 0, 0, 0, 0, 0);

const code = Uint8Array.of(
  ...[0xbe, 0x80, 0x00, 0x10, 0x00], //             mov  $msrs, %esi
  ...[0x31, 0xd2], //                               xor  %edx, %edx
  ...[0xad], //                               next: lodsl
  ...[0x89, 0xc1], //                               mov  %eax, %ecx
  ...[0xad], //                                     lodsl
  ...[0x0f, 0x30], //                               wrmsr
  ...[0x81, 0xf9, 0x80, 0x00, 0x00, 0x40], //       cmp  $SCONTROL, %ecx
  ...[0x75, 0xf2], //                               jne  next
  ...[0xbf, 0x00, 0x01, 0x10, 0x00], //             mov  $input, %edi
  ...[0xbb, 0x00, 0x92, 0x00, 0x00], //             mov  $slot, %ebx
  ...[0xc7, 0x03, 0x00, 0x00, 0x00, 0x00], //  ask: movl $0, (%rbx)
  ...[0xb9, 0x5c, 0x00, 0x00, 0x00], //             mov  $0x5c, %ecx
  ...[0x89, 0xfa], //                               mov  %edi, %edx
  ...[0xb8, 0x00, 0x80, 0x00, 0x00], //             mov  $0x8000, %eax
  ...[0xff, 0xd0], //                               call *%rax
  ...[0x85, 0xc0], //                               test %eax, %eax
  ...[0x75, 0xe8], //                               jnz  ask
  ...[0x83, 0x3b, 0x00], //                   wait: cmpl $0, (%rbx)
  ...[0x74, 0xfb], //                               je   wait
  ...[0x8b, 0x43, 0x18], //                         mov  24(%rbx), %eax
  ...[0xe7, answer], //                             out  %eax, $0xf1
  ...[0xff, 0x4f, 0x18], //                         decl 24(%rdi)
  ...[0x84, 0xc0], //                               test %al, %al
  ...[0x74, 0xd7], //                               jz   ask
  ...[0x8b, 0x43, 0x1c], //                         mov  28(%rbx), %eax
  ...[0xe7, done], //                               out  %eax, $0xf4
  ...[0xf4], //                                     hlt
);
const machineCode = new Uint8Array(0x200);
machineCode.set(code);
machineCode.set(words(...msrs.flat()), 0x80);
machineCode.set(words(contactConnection, 0, messageType, contact(0).length), 0x100);
machineCode.set(contact(guestVersion), 0x110);

using guest = openGuest(machineCode, (script) => {
  for (const [msr, value] of msrs) {
    script.wrmsr(msr, value);
  }
  for (const version of [guestVersion, guestVersion - 1]) {
    script.mmioWrite(slot, 4, 0);
    script.postMessage(contactConnection, messageType, contact(version), input);
    script.mmioRead(slot + 24, 4).out(answer, 4);
  }
  script.mmioRead(slot + 28, 4).out(done, 4);
});
console.log(`on ${guest.machine}:`);

const synic = new PartitionSynic(guest.partition);
const ports = new SynicPorts(synic);
synic.installIntercepts();
synic.attachVp(guest.vp.index);

addContactPorts(ports, (line) => {
  console.log(line);
});

const run = guest.vp.start((exit) => {
  if (synic.handleExit(guest.vp, exit)) {
    return undefined;
  }
  if (exit.type !== 'io-port') {
    throw new Error(`the guest left with ${exit.type}`);
  }
  if (exit.port === done) {
    console.log(`from now on it posts to connection ${exit.value}`);
    return 'stop';
  }
  console.log(`it finds in its slot: ${(exit.value & 1) === 0 ? 'not supported' : 'supported'}`);
  guest.vp.completeIoPort(exit);
  return undefined;
});
await run.finished;

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
