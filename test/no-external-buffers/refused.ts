/** Tests of what only buffers over memory of others can do. */
export interface Refused {
  /** Below `test/unit`. */
  readonly file: string;
  /** Of their names, with those of what they are described in before them. */
  readonly tests: RegExp;
  /** How they fail: by the documented error, or as another thing is there: no page of a VP, an earlier end of a program. */
  readonly by: 'ENOTSUP' | 'another result';
  readonly because: string;
}

/** All else of the unit tests passes without such buffers. */
export const refused: readonly Refused[] = [
  {
    file: 'memory/memory-in-use.test.ts',
    tests: /^memory whose buffer is marked /,
    by: 'another result',
    because: 'its program ends where there is no buffer to mark',
  },
  {
    file: 'memory/memory-in-use.test.ts',
    tests: /^memory /,
    by: 'ENOTSUP',
    because: 'nobody can be inside a buffer that nobody has',
  },
  {
    file: 'memory/memory-in-use.test.ts',
    tests: /^a page of a VP /,
    by: 'ENOTSUP',
    because: 'the page is used as a buffer',
  },
  {
    file: 'byte-arguments.test.ts',
    tests: /^RegisterPage#copyGeneral\(out\) /,
    by: 'another result',
    because: 'there is no register page',
  },
  {
    file: 'memory/guest-memory.test.ts',
    tests: /^memory that is closed > (has empty views|was not lost to a transfer)/,
    by: 'ENOTSUP',
    because: 'it is about buffers and views that memory had when it was closed',
  },
  {
    file: 'memory/addon-memory.test.ts',
    tests: / (is zero, and what was written into it: |has one view)/,
    by: 'ENOTSUP',
    because: 'it is about the buffer of memory',
  },
  {
    file: 'memory/addon-memory.test.ts',
    tests: / is unmapped with an empty view/,
    // It counts the mappings, of which those before it that failed have left some.
    by: 'another result',
    because: 'it is about the buffer of memory',
  },
  {
    file: 'memory/addon-memory.test.ts',
    tests: / is copied from a part of it to another/,
    by: 'ENOTSUP',
    because: 'only through a buffer is memory itself a source',
  },
  {
    file: 'vp/addon-vp.test.ts',
    tests: / (loses its pages and its thread|shows the same exit in its message page)/,
    by: 'another result',
    because: 'it is about the pages of a VP as buffers',
  },
  {
    file: 'memory/memory-by-address.test.ts',
    tests: / can be the memory itself/,
    by: 'ENOTSUP',
    because: 'only through a buffer is memory itself a source',
  },
  {
    file: 'bad-input/closed-objects.test.ts',
    tests: /^a closed object > memory\.(buffer|dataView) /,
    by: 'another result',
    because: 'it asks for a buffer before it closes the memory',
  },
  {
    file: 'sim/simulator-guest.test.ts',
    tests: /has the registers that the page changed/,
    by: 'another result',
    because: 'it changes registers on the page',
  },
  ...['faults/addon.test.ts', 'faults/system-calls.test.ts'].map((file): Refused => ({
    file,
    tests: /memory\.(buffer|dataView|view\(\)|bytes\(\))$|close of memory that has a buffer$/,
    // The error is the cause of what they fail with.
    by: 'another result',
    because: 'the operation is one on a buffer',
  })),
  {
    file: 'faults/addon.test.ts',
    tests: /^covers every public member$/,
    by: 'another result',
    because: 'the operations on buffers before it are refused',
  },
  {
    file: 'inspection.test.ts',
    tests:
      /^inspection > (is of every class|shows something of each|says last of what can be closed)/,
    by: 'another result',
    because: 'there is no register page to look at',
  },
  {
    file: 'differential.test.ts',
    tests: /^the differential run > (sees no difference|finds|says of what does not come again)/,
    by: 'ENOTSUP',
    because: 'it compares all of the memory of both sides after each operation, through buffers',
  },
  {
    file: 'security/copy-once.test.ts',
    tests: /^memory that another thread writes all the time /,
    by: 'ENOTSUP',
    because: 'the other thread writes through a view',
  },
  {
    file: 'examples.test.ts',
    tests: /examples\/worker-vp\.ts/,
    by: 'ENOTSUP',
    because: 'the example looks at guest memory through a live view',
  },
];

/** What is said of a test there, where it is there. */
export function refusalOf(file: string, test: string): Refused | undefined {
  return refused.find((one) => one.file === file && one.tests.test(test));
}

/** What takes long and is about no buffer over memory: `npm test` is enough for it. */
export const elsewhere: readonly { readonly file: string; readonly because: string }[] = [
  { file: 'limits-and-filters.test.ts', because: 'each of its cases is a process under a limit' },
  { file: 'workers.test.ts', because: 'it terminates thousands of Workers' },
  {
    file: 'share-tokens.test.ts',
    because: 'it terminates Workers inside share() and receive()',
  },
  { file: 'killed-processes.test.ts', because: 'it kills processes' },
  { file: 'eventfd/eventfd-processes.test.ts', because: 'it shares eventfds with processes' },
  { file: 'irq/gsi-allocator.test.ts', because: 'it is about numbers' },
  { file: 'abi/messages.test.ts', because: 'it decodes messages that it has made' },
  { file: 'snippets.test.ts', because: 'it compiles documentation' },
  { file: 'exports.test.ts', because: 'it reads declarations' },
  { file: 'cli/**', because: 'the command makes no memory' },
  { file: 'scripts.test.ts', because: 'it starts scripts that refuse their arguments' },
  { file: 'bounded-run.test.ts', because: 'it starts processes' },
  { file: 'lab-image.test.ts', because: 'it compares files' },
];
