#!/usr/bin/env node
import { runProgram } from './program.js';

for (const stream of [process.stdout, process.stderr]) {
  // Whoever reads our output may stop early, as `head` does.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      throw error;
    }
  });
}
process.exitCode = runProgram(process.argv.slice(2), process);
