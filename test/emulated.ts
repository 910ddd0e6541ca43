import { insideLab } from './inside-lab.js';

/** What runs the tests, where that is not what runs Vitest: Node.js for a processor that is emulated (test/arm64). */
export const emulatedNode = process.env['MSHV_TEST_NODE'];
/** Whether the processor is emulated: what tsx and Vite do would take minutes of it, and is done before (test/bundle-programs.ts). */
export const emulated = insideLab || emulatedNode !== undefined;
