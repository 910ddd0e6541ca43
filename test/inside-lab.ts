import { existsSync } from 'node:fs';

/** Whether these tests run inside the lab's VM. */
export const insideLab = existsSync('/dev/fakehv');
