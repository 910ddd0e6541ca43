import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';

import { mshvErrorCodes } from '../../lib/error-codes.js';
import { errnoCode } from '../../lib/errno.js';
import { systemError } from '../../lib/errors.js';
import { EventFd, MshvError, SynicPortMap } from '../../lib/index.js';
import { errorOf } from '../thrown-by.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file}`);

function codesIn(files: readonly string[], pattern: RegExp): Set<string> {
  return new Set(
    files.flatMap((file) =>
      [...readFileSync(`${root}${file}`, 'utf8').matchAll(pattern)].map(([, code = '']) => code),
    ),
  );
}

const all = new Set<string>(mshvErrorCodes);

describe('the codes', () => {
  it('are those that the library throws, each of them', () => {
    const sources = filesIn('lib', '.ts').filter((file) => file !== 'lib/error-codes.ts');
    expect(codesIn(sources, /'(ERR_MSHV_\w+)'/g)).toEqual(all);
  });

  it('have a row each in the table of docs/errors.md, and nothing else has one', () => {
    const rows = /^\| `(ERR_MSHV_\w+)` +\| [^|]*\w[^|]*\| [^|]*\w[^|]*\|$/gm;
    expect(codesIn(['docs/errors.md'], rows)).toEqual(all);
  });

  it('are all that comments and pages name', () => {
    const texts = [
      ...filesIn('lib', '.ts'),
      ...filesIn('docs', '.md'),
      ...filesIn('examples', '.ts'),
    ];
    const named = codesIn([...texts, 'README.md'], /(ERR_MSHV_\w+)/g);
    expect([...named].filter((code) => !all.has(code))).toEqual([]);
  });

  it('are told apart by what they begin with', () => {
    const beginnings = mshvErrorCodes.filter((code) => code.startsWith('ERR_MSHV_CLOSE'));
    expect(beginnings).toEqual(['ERR_MSHV_CLOSED']);
  });
});

describe('an MshvError', () => {
  it('has no fields for what does not apply', () => {
    const event = EventFd.create();
    event.close();
    const error = errorOf(() => event.pending);
    expect(Object.keys(error)).toEqual(['code']);
    expect(inspect(error)).not.toMatch(/errno|syscall/);
  });

  it('names no step where there was none', () => {
    using event = EventFd.create();
    const fd = event.clone().release();
    using owner = EventFd.adopt(fd);
    const error = errorOf(() => EventFd.adopt(owner.fd));
    expect(Object.keys(error).sort()).toEqual(['code', 'errno']);
  });

  it('carries the connection id that is in use', () => {
    const ports = new SynicPortMap();
    const port = { handleMessage: () => true };
    ports.addMessagePort(0x2001, 0, port);
    expect(errorOf(() => ports.addMessagePort(0x2001, 0, port))).toMatchObject({
      code: 'ERR_MSHV_CONNECTION_ID_IN_USE',
      connectionId: 0x2001,
    });
  });

  it('has a code that the compiler knows', () => {
    // @ts-expect-error -- misspelt
    const misspelt = new MshvError('', { code: 'ERR_MSHV_CLOSD' });
    // @ts-expect-error -- misspelt
    expect(misspelt.code === 'EINVALID').toBe(false);
  });
});

describe('an errno', () => {
  it('is named as Node names it, and EBADFD, which Node does not know', () => {
    const numbers = Array.from({ length: 133 }, (_, i) => -1 - i).filter((errno) => errno !== -77);
    expect(numbers.map(errnoCode)).toEqual(numbers.map(getSystemErrorName));
    expect(errnoCode(-77)).toBe('EBADFD');
  });

  it('has its number as a name where it has none, as ERESTARTSYS', () => {
    expect(systemError('try', -512, { syscall: 'ioctl' })).toMatchObject({
      code: 'Unknown system error -512',
      errno: -512,
    });
  });
});
