// kernel-log.mjs FILE: reads what /dev/kmsg gave while a command ran, and fails where the kernel warned of something that
// known-kernel-messages.json has no reason for: reports of its checks (lockdep, KASAN, sleeping in atomic context,
// WARN_ON), and whatever the driver says as a warning or worse.
import console from 'node:console';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { URL } from 'node:url';

const warning = 4;
/** Titles of reports. What follows one, such as a stack, is part of it. */
const report =
  /\bWARNING: |\bBUG: |\bINFO: .*(?:\bdetected\b|\bblocked\b|\btask\b)|^UBSAN: |^ODEBUG: |^refcount_t: |corruption|general protection|self-detected stall|scheduling while atomic|DEBUG_LOCKS_WARN_ON/;
const driver = /^(?:misc mshv|mshv\w*|hv_\w+): /;

const known = JSON.parse(readFileSync(new URL('known-kernel-messages.json', import.meta.url))).map(
  ({ message, reason }) => ({ message: new RegExp(message), reason, count: 0 }),
);

const unknown = new Map();
const lines = readFileSync(process.argv[2], 'latin1').split('\n');
for (const line of lines) {
  // "<priority>,<number>,<microseconds>,<flags>;<message>"; what begins with a space belongs to the line before.
  const [, priority, message] = /^(\d+),\d+,\d+,[^;]*;(.*)$/.exec(line) ?? [];
  if (message === undefined || (Number(priority) & 7) > warning) continue;
  const isStack = /^ |^RIP: |^CPU: /.test(message);
  if (!isStack && (report.test(message) || driver.test(message))) {
    const reason = known.find((one) => one.message.test(message));
    if (reason !== undefined) reason.count++;
    else unknown.set(message, (unknown.get(message) ?? 0) + 1);
  }
}

for (const { reason, count } of known) {
  if (count > 0) console.error(`lab: the kernel said ${count} times: ${reason}`);
}
for (const [message, count] of unknown) {
  console.error(`lab: the kernel said ${count} times, for no known reason: ${message}`);
}
process.exitCode = unknown.size === 0 ? 0 : 1;
