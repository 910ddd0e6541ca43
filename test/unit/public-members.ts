import * as library from '../../lib/index.js';

// What a program can call and read of this package: found by looking, so that nothing new is forgotten.

/** The names of an object's own functions. Accessors take no arguments. */
export function functionsOf(object: object): (string | symbol)[] {
  return Reflect.ownKeys(object).filter((key) => {
    const value: unknown = Object.getOwnPropertyDescriptor(object, key)?.value;
    return typeof value === 'function' && key !== 'constructor';
  });
}

/** The names of an object's own accessors. */
function accessorsOf(object: object): (string | symbol)[] {
  return Reflect.ownKeys(object).filter(
    (key) => Object.getOwnPropertyDescriptor(object, key)?.get !== undefined,
  );
}

// Symbol.dispose has another description where Node has to define it itself.
const keyText = (key: string | symbol): string =>
  typeof key === 'string'
    ? key
    : `[${key === Symbol.dispose ? 'Symbol.dispose' : (key.description ?? '')}]`;

/** A static or prototype property of an exported class. */
export interface PublicMember {
  /** `'EventFd.create'`, `'EventFd#close'`. */
  readonly name: string;
  readonly kind: 'function' | 'accessor';
  /** What has the property: the class or its prototype. */
  readonly holder: object;
  readonly key: string | symbol;
}

interface Class {
  readonly name: string;
  readonly prototype: object;
}

/** Every exported class. */
export const publicClasses: readonly Class[] = Object.values(library).filter(
  (value) => typeof value === 'function',
);

/** What a class has. */
export function membersOf(one: Class): PublicMember[] {
  const members = (holder: object, separator: string): PublicMember[] =>
    (['function', 'accessor'] as const).flatMap((kind) =>
      (kind === 'function' ? functionsOf : accessorsOf)(holder).map((key) => ({
        name: `${one.name}${separator}${keyText(key)}`,
        kind,
        holder,
        key,
      })),
    );
  return [...members(one, '.'), ...members(one.prototype, '#')];
}

/** Constructors that only this library calls; all but MshvError's are private in TypeScript. */
export const constructorsNotForCallers: readonly string[] = [
  'Mshv',
  'Partition',
  'PartitionCalls',
  'Doorbell',
  'GuestMemory',
  'MappedMemory',
  'PageBitmap',
  'RegisterPage',
  'SharedPartition',
  'Vp',
  'StartedRun',
  'IrqFd',
  'IrqFdRoute',
  'EventFd',
  'Interrupt',
  'MshvError',
].map((name) => `new ${name}`);

/** Every function that the package exports, by name; constructors are `'new EventFd'`. */
export function publicFunctions(): string[] {
  const others = Object.values(library).filter((value) => typeof value !== 'function');
  return [
    // Beside classes there are tables of constants.
    ...others.flatMap((value) => functionsOf(value).map(String)),
    ...publicClasses.flatMap((one) => [
      `new ${one.name}`,
      ...membersOf(one)
        .filter(({ kind }) => kind === 'function')
        .map(({ name }) => name),
    ]),
  ];
}
