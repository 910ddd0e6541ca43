import { constants } from 'node:os';

import { hvStatusCodes, hvStatusErrno, type HvStatusName } from '../../../lib/abi/hv-status.js';
import type { IoctlName } from '../../../lib/abi/ioctls.js';
import type { FallibleCall } from '../../fake-native.js';

// Which errnos a system call can fail with. An ioctl's are the driver's, as it checks them in Linux 7.2; those of
// other calls are what Linux documents for what is asked here. What only a wrong argument of ours would bring is
// there too: an argument that passes our checks may still be refused by another driver.

/** Linux has it, Node and libuv have not. */
const EBADFD = 77;

export type ErrnoName = keyof typeof constants.errno | 'EBADFD';

/** The number, positive. */
export function errnoOf(name: ErrnoName): number {
  return name === 'EBADFD' ? EBADFD : constants.errno[name];
}

/** A system call by its name, or an ioctl by its request's. */
export type SystemCallName = keyof typeof linuxErrnos | IoctlName;

/**
 * What the hypervisor's statuses become (`hv_result_to_errno`), and what there is where it has no hypercall page
 * (EOPNOTSUPP, which libuv calls ENOTSUP).
 */
export const statusErrnos = ['EINVAL', 'ENOMEM', 'EIO', 'ENOTSUP'] as const;

// Of every ioctl: the descriptor is not open (EBADF) or another file's (ENOTTY), the argument cannot be read
// (EFAULT), the process is being killed while it waits for the lock (EINTR, mutex_lock_killable).
const anyIoctl = ['EBADF', 'ENOTTY', 'EFAULT', 'EINTR'] as const;

const driverErrnos: Record<IoctlName, readonly ErrnoName[]> = {
  // mshv_ioctl_create_partition, mshv_ioctl_process_pt_flags
  MSHV_CREATE_PARTITION: [...statusErrnos, 'EMFILE', 'ENFILE'],
  // mshv_partition_ioctl_initialize
  MSHV_INITIALIZE_PARTITION: statusErrnos,
  // mshv_partition_ioctl_create_vp
  MSHV_CREATE_VP: [...statusErrnos, 'EEXIST', 'EMFILE', 'ENFILE'],
  // mshv_map_user_memory, mshv_unmap_user_memory
  MSHV_SET_GUEST_MEMORY: [...statusErrnos, 'EEXIST', 'ENOENT'],
  // mshv_irqfd_assign, mshv_irqfd_deassign
  MSHV_IRQFD: ['EINVAL', 'ENOMEM', 'EBUSY'],
  // mshv_assign_ioeventfd, mshv_deassign_ioeventfd
  MSHV_IOEVENTFD: [...statusErrnos, 'EEXIST', 'ENOENT'],
  // mshv_update_routing_table
  MSHV_SET_MSI_ROUTING: ['EINVAL', 'ENOMEM'],
  // mshv_partition_ioctl_get_gpap_access_bitmap
  MSHV_GET_GPAP_ACCESS_BITMAP: statusErrnos,
  // mshv_ioctl_passthru_hvcall; EAGAIN before Linux 7.2: memory was deposited, call again
  MSHV_ROOT_HVCALL: [...statusErrnos, 'EPERM', 'EBADFD', 'EAGAIN'],
  // mshv_vp_ioctl_run_vp
  MSHV_RUN_VP: statusErrnos,
  // mshv_vp_ioctl_get_set_state
  MSHV_GET_VP_STATE: statusErrnos,
  MSHV_SET_VP_STATE: statusErrnos,
};

// The manual pages, section 2 and 3. ENOSYS and EPERM are also what a seccomp filter makes of a call.
const linuxErrnos = {
  open: ['EACCES', 'EINTR', 'EMFILE', 'ENFILE', 'ENODEV', 'ENOENT', 'ENOMEM', 'ENXIO', 'EPERM'],
  eventfd: ['EINVAL', 'EMFILE', 'ENFILE', 'ENODEV', 'ENOMEM', 'ENOSYS', 'EPERM'],
  fcntl: ['EBADF', 'EBUSY', 'EINVAL', 'EMFILE', 'EPERM'],
  // ENOENT: there is no /proc.
  readlink: ['EACCES', 'ENOENT', 'ENOMEM', 'EPERM'],
  read: ['EAGAIN', 'EBADF', 'EINTR', 'EINVAL', 'EIO'],
  write: ['EAGAIN', 'EBADF', 'EINTR', 'EINVAL', 'EIO'],
  poll: ['EINVAL', 'ENOMEM'],
  memfd_create: ['EINVAL', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSYS', 'EPERM'],
  ftruncate: ['EFBIG', 'EINTR', 'EINVAL', 'EIO', 'EPERM'],
  mmap: ['EACCES', 'EAGAIN', 'EINVAL', 'ENFILE', 'ENODEV', 'ENOMEM', 'EOVERFLOW', 'EPERM'],
  fstat: ['EBADF', 'ENOMEM', 'EOVERFLOW'],
  fstatfs: ['EBADF', 'EINTR', 'EIO', 'ENOMEM', 'ENOSYS'],
  // It looks whether a descriptor can be watched, by epoll_ctl(2).
  uv_poll_init: ['EBADF', 'EEXIST', 'ENOMEM', 'ENOSPC', 'EPERM'],
  uv_poll_start: ['EBADF'],
  // It makes the loop's own eventfd.
  uv_async_init: ['EMFILE', 'ENFILE', 'ENOMEM', 'ENOSYS'],
  pthread_create: ['EAGAIN', 'EPERM'],
  sigaction: ['EINVAL'],
  pthread_sigmask: ['EINVAL'],
  timer_create: ['EAGAIN', 'EINVAL', 'ENOMEM', 'ENOSYS', 'EPERM'],
} as const satisfies Record<string, readonly ErrnoName[]>;

export function isIoctl(name: SystemCallName): name is IoctlName {
  return Object.hasOwn(driverErrnos, name);
}

/** What a system call can fail with. */
export function errnosOfCall(name: SystemCallName): ErrnoName[] {
  return isIoctl(name)
    ? [...new Set([...anyIoctl, ...driverErrnos[name]])]
    : [...linuxErrnos[name]];
}

interface FallibleFunction {
  /** The system calls that it makes. */
  readonly calls: readonly SystemCallName[];
  /** What it refuses by itself. */
  readonly own?: readonly ErrnoName[];
}

const waitingTime = ['EBUSY'] as const;
const kickTarget = ['sigaction', 'pthread_sigmask', 'timer_create'] as const;
const control = ['memfd_create', 'ftruncate', 'fcntl', 'mmap', 'fstat'] as const;

/** The addon's functions that can fail because the system does: see lib/native.ts. */
export const fallibleFunctions: Record<FallibleCall, FallibleFunction> = {
  open: { calls: ['open'] },
  createPartition: { calls: ['MSHV_CREATE_PARTITION'] },
  createPartitionV2: { calls: ['MSHV_CREATE_PARTITION'] },
  initializePartition: { calls: ['MSHV_INITIALIZE_PARTITION'] },
  createVp: { calls: ['MSHV_CREATE_VP'] },
  irqfd: { calls: ['MSHV_IRQFD'] },
  setMsiRouting: { calls: ['MSHV_SET_MSI_ROUTING'] },
  ioeventfd: { calls: ['MSHV_IOEVENTFD'] },
  mapMemory: { calls: ['MSHV_SET_GUEST_MEMORY'] },
  accessBitmap: { calls: ['MSHV_GET_GPAP_ACCESS_BITMAP'] },
  // EBUSY: on the descriptor of a VP that runs.
  hypercall: { calls: ['MSHV_ROOT_HVCALL'] },
  memoryCreate: { calls: ['memfd_create', 'ftruncate', 'fcntl', 'mmap'] },
  memoryFromFd: { calls: ['fcntl', 'fstat', 'fstatfs', 'mmap'], own: ['ENXIO', 'ENODEV'] },
  memoryFd: { calls: ['fcntl'] },
  memoryBuffer: { calls: [], own: ['ENOTSUP'] },
  share: { calls: ['fcntl'] },
  receive: { calls: ['readlink', 'fstat', 'fcntl', 'mmap'], own: ['EINVAL', 'EBUSY'] },
  receiveMemory: {
    calls: ['fcntl', 'fstat', 'fstatfs', 'mmap'],
    own: ['ENXIO', 'ENODEV', 'EBUSY'],
  },
  receiveEventfd: { calls: ['fcntl', 'readlink'], own: ['EINVAL', 'EBUSY'] },
  vpAttach: { calls: control, own: ['EINVAL', 'EEXIST'] },
  vpRun: { calls: [...kickTarget, 'pthread_create', 'MSHV_RUN_VP'], own: ['EBUSY', 'ECANCELED'] },
  vpCancel: { calls: ['sigaction', 'timer_create'], own: ['EBADF', 'ENOSPC'] },
  vpStart: { calls: ['uv_async_init', 'pthread_create', ...kickTarget], own: waitingTime },
  vpResume: { calls: [], own: ['EBUSY', 'ENOENT'] },
  vpStop: { calls: ['sigaction', 'timer_create'], own: ['ENOSPC'] },
  vpPage: { calls: ['readlink', 'mmap'], own: ['ENODEV', 'ENOTSUP'] },
  vpReadRegisterPage: { calls: ['readlink', 'mmap'], own: ['ENODEV', 'EBUSY'] },
  vpWriteRegisterPage: { calls: ['readlink', 'mmap'], own: ['ENODEV', 'EBUSY'] },
  vpCompleteExit: { calls: ['readlink', 'mmap'], own: ['ENODEV'] },
  vpGetState: { calls: ['MSHV_GET_VP_STATE'], own: waitingTime },
  vpSetState: { calls: ['MSHV_GET_VP_STATE', 'MSHV_SET_VP_STATE'], own: waitingTime },
  eventfdCreate: { calls: ['eventfd'] },
  eventfdAdopt: { calls: ['fcntl', 'readlink'], own: ['EINVAL', 'EBUSY'] },
  dup: { calls: ['fcntl'] },
  watch: { calls: ['uv_poll_init', 'uv_poll_start'] },
  eventfdShow: { calls: ['fcntl'] },
  eventfdSignal: { calls: ['write'] },
  eventfdSignalBounded: { calls: ['write', ...kickTarget], own: ['ENOBUFS'] },
  eventfdRead: { calls: ['read'] },
  eventfdPoll: { calls: ['poll'] },
};

/** One way in which a call fails. */
export interface FaultKind {
  readonly errno: ErrnoName;
  /** What the hypervisor refused the call with, of a hypercall that got there. */
  readonly status?: HvStatusName;
}

const statuses = (Object.keys(hvStatusCodes) as HvStatusName[]).filter(
  (name) => name !== 'HV_STATUS_SUCCESS',
);

const refusals: readonly FaultKind[] = statuses.flatMap((status): FaultKind[] => {
  const errno = hvStatusErrno(hvStatusCodes[status]);
  return errno === 0 ? [] : [{ errno, status }];
});

/** The driver has what is to be put there, or has not what is to be taken away. */
const oneWayOnly = (undoes: boolean): ErrnoName => (undoes ? 'EEXIST' : 'ENOENT');

/**
 * Every way in which a function of the addon can fail.
 *
 * @param undoes - whether this call takes something away
 */
export function faultsOfFunction(name: FallibleCall, undoes: boolean): FaultKind[] {
  const { calls, own = [] } = fallibleFunctions[name];
  const ioctls = calls.filter(isIoctl).flatMap(errnosOfCall);
  const others = calls.filter((call) => !isIoctl(call)).flatMap(errnosOfCall);
  const errnos = new Set<ErrnoName>([
    ...ioctls.filter((errno) => errno !== oneWayOnly(undoes)),
    ...others,
    ...own,
  ]);
  return [...[...errnos].map((errno) => ({ errno })), ...(name === 'hypercall' ? refusals : [])];
}

/** Every way in which a system call can fail, whatever it is for. */
export function faultsOfCall(name: SystemCallName): FaultKind[] {
  const errnos = errnosOfCall(name);
  const either = isIoctl(name) ? errnos.filter((one) => !/^(EEXIST|ENOENT)$/.test(one)) : errnos;
  return either.map((errno) => ({ errno }));
}

/** A system call that there are errnos for. */
export function systemCallArgument(name: string): SystemCallName {
  for (const known of Object.keys(linuxErrnos) as (keyof typeof linuxErrnos)[]) {
    if (known === name) return known;
  }
  throw new Error(`nobody knows how ${name} can fail`);
}
