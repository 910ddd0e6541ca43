// total.mjs REPORTS FAILED: adds up the JSON reports of a folder. A step that failed without a failed
// test (the linter, a VM that died) counts as one failure. A file NAME.not-run says why there is no report, which is no failure.
import console from 'node:console';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const [folder, stepsFailed] = process.argv.slice(2);
const expected = [
  'simulator',
  'arm64',
  'conformance-core',
  'conformance-root',
  'fast-injection',
  'guest-core',
  'guest-root',
  'guest-fast-injection',
];
let passed = 0;
let failed = 0;
let skipped = 0;
const present = new Set(readdirSync(folder));
for (const name of expected) {
  if (present.has(`${name}.not-run`)) {
    console.log(`${name}: ${readFileSync(join(folder, `${name}.not-run`), 'utf8').trim()}`);
    continue;
  }
  if (!present.has(`${name}.json`)) {
    console.log(`${name}: no report`);
    failed++;
    continue;
  }
  const report = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
  console.log(`${name}: ${report.numPassedTests} passed, ${report.numFailedTests} failed`);
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests;
}
if (stepsFailed !== '0' && failed === 0) {
  failed = 1;
}
console.log(`${skipped} skipped, for the reasons in their names`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
