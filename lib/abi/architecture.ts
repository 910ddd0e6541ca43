/** An architecture that the hypervisor runs on. */
export type Architecture = 'x64' | 'arm64';

/** The architecture of this process, which is that of its guests. */
export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
