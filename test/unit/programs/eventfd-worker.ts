import { parentPort, workerData } from 'node:worker_threads';

import { EventFd, type EventFdToken } from '../../../lib/index.js';

// Answers each count on one eventfd with twice as much on another, until it is terminated: where it is busy, none.
const { requests, answers, busy } = workerData as {
  requests: EventFdToken;
  answers: EventFdToken;
  busy?: boolean;
};
const answer = EventFd.receive(answers);
EventFd.receive(requests).watch((count) => {
  answer.signal(count * 2n);
});
parentPort?.postMessage('ready');
while (busy === true);
