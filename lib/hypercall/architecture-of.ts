import { architectures, type Architecture } from '../abi/architecture.js';
import type { Native } from '../native.js';

/** The architecture of the hypervisor that a device, partition or VP descriptor leads to, and of its guests. */
export function architectureOf(native: Native, fd: number): Architecture {
  return native.architecture(fd) === architectures.arm64 ? 'arm64' : 'x64';
}
