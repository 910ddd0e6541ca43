#!/usr/bin/env node
import { runProgram } from './program.js';

process.stdout.once('error', (error: NodeJS.ErrnoException) => {
  const closed = error.code === 'EPIPE' ? ': whoever was to read it has closed it' : '';
  process.stderr.write(`mshv: the output cannot be written: ${error.message}${closed}\n`);
  process.exitCode = 1;
});
// Nobody can be told then. What was to be said here has a status of its own.
process.stderr.on('error', () => undefined);

const status = await runProgram(process.argv.slice(2), process);
process.exitCode ??= status;
