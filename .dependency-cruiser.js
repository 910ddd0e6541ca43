// Who may know whom in `lib`, held by `npm run lint`. CONTRIBUTING.md draws it.

const base = [
  'arguments',
  'closing',
  'errno',
  'errors',
  'failures',
  'handle',
  'inspection',
  'lasting-bytes',
  'native',
  'options',
  'step-error',
  'thenable',
];

/** Every folder of `lib`, and every file beside them: what of `lib` it may import besides itself. */
const mayKnow = {
  arguments: [],
  inspection: [],
  options: ['arguments'],
  errno: [],
  'error-codes': [],
  errors: ['errno', 'error-codes'],
  'lasting-bytes': [],
  runtime: [],
  thenable: ['arguments'],
  installer: [],
  prebuilt: [],
  closing: ['errors'],
  abi: ['arguments', 'inspection'],
  'load-addon': ['errors', 'installer', 'prebuilt', 'runtime'],
  native: ['arguments', 'load-addon', 'options'],
  'step-error': ['abi', 'errors', 'native'],
  handle: ['inspection'],
  failures: ['arguments', 'errors', 'inspection'],
  'taking-iterator': ['inspection'],
  eventfd: [
    'arguments',
    'errors',
    'handle',
    'inspection',
    'native',
    'options',
    'runtime',
    'step-error',
    'taking-iterator',
  ],
  irq: [...base, 'abi', 'eventfd'],
  hypercall: [...base, 'abi', 'irq'],
  memory: [...base, 'abi', 'hypercall'],
  vp: [...base, 'abi', 'hypercall', 'irq'],
  device: [...base, 'abi', 'hypercall', 'irq', 'memory', 'vp'],
  synic: [...base, 'abi', 'eventfd', 'hypercall', 'irq', 'memory', 'vp'],
  sim: [
    'abi',
    'arguments',
    'device',
    'errors',
    'eventfd',
    'inspection',
    'native',
    'options',
    'taking-iterator',
  ],
  index: [
    ...base,
    'abi',
    'device',
    'error-codes',
    'eventfd',
    'hypercall',
    'irq',
    'memory',
    'synic',
    'vp',
  ],
  cli: [...base, 'abi', 'device', 'irq', 'sim'],
};

const filesOf = (part) => `^lib/${part}(/|\\.ts$)`;

export default {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'every-part-has-its-rule',
      severity: 'error',
      from: { path: '^lib/', pathNot: Object.keys(mayKnow).map(filesOf) },
      to: {},
    },
    ...Object.entries(mayKnow).map(([part, known]) => ({
      name: `what-${part}-may-know`,
      severity: 'error',
      from: { path: filesOf(part) },
      to: { path: '^lib/', pathNot: [part, ...known].map(filesOf) },
    })),
    {
      name: 'only-published-packages',
      severity: 'error',
      from: { path: '^lib/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'],
        pathNot: '@types/',
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
