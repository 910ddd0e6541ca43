import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const project = fileURLToPath(new URL('..', import.meta.url));

/** Where its packages are installed. */
export const projectModules = realpathSync(join(project, 'node_modules'));

/**
 * Makes a folder a copy of the project, as it stands, without what is built: the loader finds addons of the copy's own there. What
 * `folder/build` holds stays.
 */
export function copyProject(folder: string): void {
  mkdirSync(join(folder, 'build'), { recursive: true });
  for (const name of readdirSync(folder)) {
    if (name !== 'build') rmSync(join(folder, name), { recursive: true });
  }
  const files = execFileSync('git', ['ls-files', '-zco', '--exclude-standard'], {
    cwd: project,
    encoding: 'utf8',
  });
  for (const file of files.split('\0')) {
    const from = join(project, file);
    if (file !== '' && file !== 'node_modules' && existsSync(from)) {
      // With their times, by which make knows what to compile.
      cpSync(from, join(folder, file), { preserveTimestamps: true });
    }
  }
  symlinkSync(projectModules, join(folder, 'node_modules'));
}
