import { parentPort, workerData } from 'node:worker_threads';

import { EventFd } from '../../../lib/index.js';

// Answers each count on one eventfd with twice as much on another, until it is terminated.
const { requests, answers } = workerData as { requests: number; answers: number };
const answer = EventFd.adopt(answers);
EventFd.adopt(requests).watch((count) => {
  answer.signal(count * 2n);
});
parentPort?.postMessage('ready');
