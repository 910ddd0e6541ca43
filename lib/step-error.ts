import { constants } from 'node:os';

import { type IoctlName, ioctls } from './abi/ioctls.js';
import { type MshvError, type SystemCall, systemError } from './errors.js';
import type { Native } from './native.js';

const ioctlNames = new Map<number, IoctlName>(
  (Object.keys(ioctls) as IoctlName[]).map((name) => [ioctls[name], name]),
);

function failedStep(native: Native): SystemCall | undefined {
  const step = native.failedStep();
  if (typeof step === 'string') {
    return step === '' ? undefined : { syscall: step };
  }
  const ioctl = ioctlNames.get(step);
  return ioctl === undefined ? { syscall: 'ioctl' } : { ioctl };
}

/**
 * The error for a function of the addon that has just returned the negative errno `result`: it names the step that
 * failed, of a function that takes several, and what helps against that. To be made before another function of the addon is
 * called.
 *
 * @param attempt - what was being done, in the caller's terms
 * @param hints - what an errno means here, before what it means to the step anywhere
 */
export function stepError(
  native: Native,
  attempt: string,
  result: number,
  hints?: ReadonlyMap<number, string>,
): MshvError {
  const step = failedStep(native);
  return systemError(attempt, result, step, hints?.get(result) ?? remedy(step, -result));
}

const { EAGAIN, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM } = constants.errno;

function remedy(step: SystemCall | undefined, errno: number): string | undefined {
  if (step === undefined || 'ioctl' in step) {
    return undefined;
  }
  return remediesOfSteps.get(step.syscall)?.get(errno) ?? remedies.get(errno);
}

const noSignals =
  'the user has as many timers and queued signals as it may: raise ulimit -i (RLIMIT_SIGPENDING)';
const noThread =
  'no room for a thread: raise ulimit -u, ulimit -v, kernel.threads-max or pids.max of the cgroup';
const noProc = 'there is no /proc to look it up in: mount it (mount -t proc proc /proc)';

const remediesOfSteps = new Map<string, ReadonlyMap<number, string>>([
  ['timer_create', new Map([[EAGAIN, noSignals]])],
  [
    'sigaction',
    new Map([
      [
        ENOSPC,
        'other libraries of this process use the real-time signals that could interrupt this thread',
      ],
    ]),
  ],
  ['pthread_create', new Map([[EAGAIN, noThread]])],
  ['readlink', new Map([[ENOENT, noProc]])],
  // The simulator's, which looks into fdinfo.
  ['open', new Map([[ENOENT, noProc]])],
  ['uv_poll_init', new Map([[ENOSPC, 'too many are watched: raise fs.epoll.max_user_watches']])],
  ['mmap', new Map([[EAGAIN, 'too much memory is locked: raise ulimit -l (RLIMIT_MEMLOCK)']])],
]);

const refused = 'a seccomp filter or a security module refuses it: allow it';

const remedies = new Map([
  [ENOMEM, 'the process has no room for it: see ulimit -v and vm.max_map_count'],
  [EMFILE, 'the process has as many descriptors as it may: raise ulimit -n'],
  [ENFILE, 'the host has as many open files as it may: raise fs.file-max'],
  [ENOSYS, refused],
  [EPERM, refused],
]);
