import { readdirSync, readFileSync } from 'node:fs';

/** Linux's PF_EXITING, set before anybody who joins the thread is woken. */
const exiting = 0x4;

/**
 * The threads that this process has, by their ids and names. Not among them is one that has ended: the kernel wakes who
 * joins a thread before it takes the thread off its list.
 */
export function processThreads(): Map<string, string> {
  const threads = new Map<string, string>();
  for (const id of readdirSync('/proc/self/task')) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/self/task/${id}/stat`, 'latin1');
    } catch {
      // It has ended meanwhile.
      continue;
    }
    // "<id> (<name>) <state> <parent> <group> <session> <terminal> <its group> <flags> …"
    const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
    const flags = Number(rest.split(' ')[6]);
    if ((flags & exiting) === 0) threads.set(id, name);
  }
  return threads;
}

/** The ids of those that run VPs. */
export function vpThreads(): string[] {
  return [...processThreads()].filter(([, name]) => name === 'mshv-vp').map(([id]) => id);
}
