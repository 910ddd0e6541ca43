import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

import {
  blocksOf,
  examplesOf,
  programOf,
  runPrograms,
  saidBy,
  type Outcome,
  type Snippet,
} from '../snippets.js';
import { publicClasses, publicFunctions } from './public-members.js';

// Everything that is shown as TypeScript, but for what is said here, is compiled and run as it stands.

const root = fileURLToPath(new URL('../../', import.meta.url));
const textOf = (file: string): string => readFileSync(root + file, 'utf8');

/** All blocks of such a page are one program; of the others each is one, in the setting of the examples. */
const wholePages = ['README.md', 'docs/synic.md'];
/** Half of it runs in a Worker: test/unit/vp has the whole. */
const notRun = 'new Worker(program, { workerData: vp.share() })';

const pages = ['README.md', ...readdirSync(`${root}docs`).map((file) => `docs/${file}`)].filter(
  (file) => file.endsWith('.md'),
);
const shown: Snippet[] = pages.flatMap((page) => {
  const blocks = blocksOf(textOf(page)).filter((code) => !code.includes(notRun));
  return wholePages.includes(page)
    ? [{ name: page, code: blocks.join('\n') }]
    : blocks.map((code, index) => ({ name: `${page}, block ${index + 1}`, code }));
});

/** What a page prints beside, by what comes to it. */
const printedBeside: Readonly<Record<string, readonly string[]>> = {
  'docs/synic.md': [
    'connection 0x2001, flag 7',
    'connection 0x2001, flag 9',
    'connection 0x2002, by its monitor',
  ],
};

const examples = readdirSync(`${root}lib`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .flatMap((file) => examplesOf(`lib/${file}`));

const all = [
  ...shown.map((snippet) => ({ ...snippet, isWhole: wholePages.includes(snippet.name) })),
  ...examples.map((snippet) => ({ ...snippet, isWhole: false })),
];

describe('what is shown', () => {
  let outcome: Outcome;
  beforeAll(() => {
    outcome = runPrograms(
      all.map(({ name, code, isWhole }) => ({ name, code: isWhole ? code : programOf(code) })),
    );
  }, 400_000);

  it('has the right types', () => {
    expect(outcome.typeErrors).toEqual([]);
  });

  it.each(all)('runs, and prints what it says: $name', ({ name, code }) => {
    const { printed = [], failed } = outcome.results[name] ?? {};
    expect(failed).toBeUndefined();
    // What comes by itself has no order.
    expect(printed.sort()).toEqual([...saidBy(code), ...(printedBeside[name] ?? [])].sort());
  });
});

/** What a VMM calls seldom or never: what others of this library call, and what the pages show as a whole. */
const withoutExample = [
  'FailureReports#report',
  'GuestMessages#postMessage',
  'GuestMessages#attachVp',
  'GuestMessages#sintsDeliverable',
  'HypercallDispatcher#dispatch',
  'MonitorPages#registerMonitor',
  'MonitorPages#handleWrite',
  'MonitorPages#handleRead',
  'MonitorPages#poll',
  'MsiRouteTable#markUnknown',
  'MsiRouteTable#get',
  'PartitionCalls#propertyEx',
  'PartitionCalls#clearVirtualInterrupt',
  'PartitionSynic#newHostEventPort',
  'PolledMonitorPages#registerMonitor',
  'PolledMonitorPages#setMonitorPage',
  'PolledMonitorPages#allocateMonitorPage',
  'SynicPortMap#handlePostMessage',
  'Vp#hypercall',
];

it('each class and each method that a VMM calls has an example', () => {
  const names = new Set(examples.map(({ name }) => name));
  const isEverywhere = (name: string): boolean =>
    /^new |\[|#(?:close|toJSON|ref|unref)$/.test(name);
  const wanted = [
    ...publicClasses.map(({ name }) => name),
    ...publicFunctions().filter((name) => !isEverywhere(name)),
  ];
  expect(wanted.length).toBeGreaterThan(150);
  expect(wanted.filter((name) => !names.has(name.replace('#', '.'))).sort()).toEqual(
    [...withoutExample].sort(),
  );
});
