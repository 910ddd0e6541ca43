import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { testTitles } from '../../test-titles.js';

// docs/security.md names a test for everything that it says a guest cannot do.

const root = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(`${root}docs/security.md`, 'utf8');
const [protectedFrom = '', unprotected] = page.split('\n## What is not protected\n');

/** The text of each section of level 3, by title. */
const sections = protectedFrom
  .split(/^### /m)
  .slice(1)
  .map((section): [title: string, text: string] => {
    const end = section.indexOf('\n');
    return [section.slice(0, end), section.slice(end)];
  });

/** The tests that a section names, by file. */
function testsOf(text: string): [file: string, titles: string[]][] {
  return [...text.matchAll(/^- `(.+)`\n((?: {2}- .+\n(?: {4}.+\n)*)+)/gm)].map(
    ([, file = '', list = '']) => [
      file,
      list
        .replaceAll(/\n {4}/g, ' ')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.slice('  - '.length)),
    ],
  );
}

describe('docs/security.md', () => {
  it.each(sections)('names what stops the guest, and its tests: %s', (_, text) => {
    expect(text).toContain('\nStopped by: ');
    const named = testsOf(text);
    expect(named.length).toBeGreaterThan(0);
    // Everything in the list was understood.
    expect(named.flatMap(([, titles]) => titles).length + named.length).toBe(
      [...text.matchAll(/^ *- /gm)].length,
    );
    for (const [file, titles] of named) {
      expect(existsSync(`${root}${file}`), file).toBe(true);
      const known = testTitles(`${root}${file}`);
      expect(titles.filter((title) => !known.includes(title))).toEqual([]);
    }
  });

  it('says what is not protected, and is found from README.md', () => {
    expect(sections.length).toBeGreaterThan(15);
    expect(unprotected).toContain('handlers');
    expect(readFileSync(`${root}README.md`, 'utf8')).toContain('(docs/security.md)');
  });
});
