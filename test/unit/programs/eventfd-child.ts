import { existsSync, readFileSync } from 'node:fs';

import { EventFd, Interrupt } from '../../../lib/index.js';

// What eventfd-processes.test.ts wants to see of another process. It says on stdout what it sees.

const say = (...words: unknown[]): void => {
  process.stdout.write(`${words.join(' ')}\n`);
};

const sayEnd = (): void => {
  process.on('exit', (code) => {
    say('exit', code);
  });
};

const flagsOf = (fd: number): number =>
  parseInt(
    /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '',
    8,
  );

const scenarios: Record<string, () => void> = {
  'signals an inherited eventfd': () => {
    const event = EventFd.adopt(3);
    event.signal(5);
    event.close();
  },

  'stays while it watches': () => {
    sayEnd();
    const event = EventFd.adopt(3);
    const watch = event.watch((count) => {
      say('count', count);
      watch[Symbol.dispose]();
    });
    say('watching');
  },

  'stays while it watches again with ref()': () => {
    sayEnd();
    const event = EventFd.adopt(3).unref();
    const watch = event.watch((count) => {
      say('count', count);
      watch[Symbol.dispose]();
    });
    event.ref();
    say('watching');
  },

  'ends although it watches after unref()': () => {
    sayEnd();
    const event = EventFd.create();
    event.watch(() => undefined);
    event.unref();
    // Later watching of the same EventFd holds nothing either.
    event.watch(() => undefined);
    void event.wait();
    say('watching');
  },

  'ends although it watches what was unref()ed before': () => {
    sayEnd();
    EventFd.create()
      .unref()
      .watch(() => undefined);
    say('watching');
  },

  'ends although the event of an interrupt is watched': () => {
    sayEnd();
    Interrupt.fromFunction(() => undefined).event.signal();
    say('watching');
  },

  'hears of what a listener throws': () => {
    const event = EventFd.create();
    process.on('uncaughtException', (error, origin) => {
      say(origin, error.message);
    });
    event.watch(() => {
      throw new Error('from the first listener');
    });
    event.watch((count) => {
      say('second listener', count);
    });
    event.watch(() => {
      say('third listener');
      event.close();
    });
    event.signal(7);
  },

  'dies of what a listener throws': () => {
    const event = EventFd.create();
    event.watch(() => {
      throw new Error('nobody catches this');
    });
    event.signal();
  },

  'adopts descriptor 40': () => {
    say('before', flagsOf(40).toString(8));
    const event = EventFd.adopt(40);
    say('after', existsSync('/proc/self/fd/40'), flagsOf(event.fd).toString(8));
    say('read', event.tryRead(), event.tryRead());
  },
};

const scenario = scenarios[process.argv[2] ?? ''];
if (scenario === undefined) throw new Error(`no scenario ${process.argv[2] ?? ''}`);
scenario();
