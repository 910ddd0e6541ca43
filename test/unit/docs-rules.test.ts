import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { testTitles } from '../test-titles.js';

// The pages name the code and the tests of what they say: all of it is there.

const root = fileURLToPath(new URL('../../', import.meta.url));
const textOf = (file: string): string => readFileSync(`${root}${file}`, 'utf8');

const titles = new Map<string, readonly string[]>();
function titlesOf(file: string): readonly string[] {
  const known = titles.get(file) ?? (existsSync(`${root}${file}`) ? testTitles(root + file) : []);
  titles.set(file, known);
  return known;
}

/** The anchor of a heading, as Markdown's readers make it. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

/** Sections that state no rule. */
const withoutRules: readonly string[] = ['Nothing arrives'];

const pages = ['routes', 'vps', 'memory', 'synic'].map((name) => {
  const text = textOf(`docs/${name}.md`);
  const [said = '', list = ''] = text.split('\n## Where each rule is kept\n');
  const rules = list
    .split(/^- /m)
    .slice(1)
    .map((rule): [name: string, rule: string] => [name, rule.trimEnd()]);
  return { name, said, list, rules };
});

describe.each(pages)('the page $name', ({ said, list }) => {
  it('has a rule of each of its sections in the list', () => {
    const sections = [...said.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading);
    const listed = new Set([...list.matchAll(/^- \[.+?\]\(#(.+?)\): /gm)].map(([, to]) => to));
    expect(
      sections.filter((one) => !withoutRules.includes(one) && !listed.has(anchor(one))),
    ).toEqual([]);
    const anchors = [...said.matchAll(/^##+ (.+)$/gm)].map(([, heading = '']) => anchor(heading));
    expect([...listed].filter((to) => to !== undefined && !anchors.includes(to))).toEqual([]);
  });

  it('has each of its numbered rules in the list', () => {
    const numbered = [...said.matchAll(/^(\d+)\. \*\*/gm)].map(([, number]) => number);
    const listed = new Set([...list.matchAll(/^- .*: rule (\d+), /gm)].map(([, number]) => number));
    expect(numbered.filter((number) => !listed.has(number))).toEqual([]);
  });
});

it.each(pages.flatMap(({ rules }) => rules))('docs/%s.md names code and tests of %s', (_, rule) => {
  const [first = '', ...tests] = rule.split('\n');
  const [, file = '', name = ''] = /\(`([\w./-]+)` `(\w+)`\)$/.exec(first) ?? [];
  expect(existsSync(`${root}${file}`) && textOf(file)).toMatch(new RegExp(`\\b${name}\\b`));
  expect(tests.length).toBeGreaterThan(0);
  for (const test of tests) {
    const [, testFile = '', title = ''] = /^ {2}- `(test\/[\w./-]+)`: (.+)$/.exec(test) ?? [];
    expect(titlesOf(testFile)).toContain(title);
  }
});

it('no page names a file that there is not', () => {
  const all = readdirSync(`${root}docs`).map((file) => `docs/${file}`);
  const named = [...all, 'README.md', 'CONTRIBUTING.md'].flatMap((page) =>
    [...textOf(page).matchAll(/`((?:lib|native|test|lab|bench|packaging)\/[\w./-]+\.\w+)`/g)].map(
      ([, file = '']) => `${page}: ${file}`,
    ),
  );
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((one) => !existsSync(root + one.replace(/^.*: /, '')))).toEqual([]);
});

describe('what is published of the pages', () => {
  const { files, version } = JSON.parse(textOf('package.json')) as {
    files: string[];
    version: string;
  };
  const published = (file: string): boolean =>
    [...files, 'README.md', 'LICENSE'].some((one) => file === one || file.startsWith(`${one}/`));
  const pages = [
    'README.md',
    'CHANGELOG.md',
    ...readdirSync(`${root}docs`).map((file) => `docs/${file}`),
  ];

  it.each(pages)('%s links to files and headings of the package alone', (page) => {
    const text = textOf(page);
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to);
    const broken = links.filter((to) => {
      if (/^https?:/.test(to)) return false;
      const [path = '', fragment] = to.split('#');
      const file = path === '' ? page : posix.join(posix.dirname(page), path);
      if (!published(file) || !existsSync(root + file)) return true;
      const anchors = [...textOf(file).matchAll(/^##* (.+)$/gm)].map(([, heading = '']) =>
        anchor(heading),
      );
      return fragment !== undefined && !anchors.includes(fragment);
    });
    expect(broken).toEqual([]);
    expect(text).not.toMatch(/registry\.npmjs|registry\.yarnpkg|artifactory/i);
  });

  it('the changelog has an entry of the version', () => {
    expect(textOf('CHANGELOG.md')).toMatch(
      new RegExp(`^## \\[${version}\\] - \\d{4}-\\d\\d-\\d\\d$`, 'm'),
    );
  });
});

it('CONTRIBUTING.md shows every folder of lib and its order', () => {
  const page = textOf('CONTRIBUTING.md');
  const order = /^ +errors, arguments(.*?)```/ms.exec(page)?.[1] ?? '';
  const folders = readdirSync(`${root}lib`, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(folders.length).toBeGreaterThan(5);
  for (const folder of folders) {
    expect(page).toMatch(new RegExp(`^\\| \`lib/${folder}/\` +\\|`, 'm'));
    expect(order).toMatch(new RegExp(`\\b${folder}\\b`));
  }
});

it('canceled has one spelling, in code and prose', () => {
  const files = ['lib', 'native', 'test', 'examples', 'bench', 'docs'].flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
      .map((file) => `${folder}/${file}`)
      .filter((file) => /\.(ts|mjs|cc|h|md)$/.test(file)),
  );
  const all = [...files, 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
  expect(all.length).toBeGreaterThan(500);
  expect(all.filter((file) => /cancell(?:ed|ing)/i.test(textOf(file)))).toEqual([]);
});
