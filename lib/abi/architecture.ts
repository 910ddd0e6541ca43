/** An architecture that the hypervisor runs on. */
export type Architecture = 'x64' | 'arm64';

/** By the number that the addon gives them. */
export const architectures = { x64: 0, arm64: 1 } as const satisfies Record<Architecture, number>;

/** The architecture of this process. Its guests have the same, but for those of a simulator: see `Mshv.architecture`. */
export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
