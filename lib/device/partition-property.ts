import { writeGetPartitionProperty, writeGetPartitionPropertyEx } from '../abi/hypercall-inputs.js';
import { readPartitionProperty } from '../abi/hypercall-outputs.js';
import { hypercalls } from '../abi/hypercalls.js';
import { partitionProperties, type PartitionPropertyName } from '../abi/properties.js';
import { choiceArgument, integerArgument, optionsArgument, uint64Argument } from '../arguments.js';
import type { Native } from '../native.js';
import { hypercallPages } from './hypercall.js';

const propertyNames = Object.keys(partitionProperties) as PartitionPropertyName[];

/** The code of a property that is named, or given as a code. */
export function propertyArgument(property: PartitionPropertyName | number): number {
  return typeof property === 'number'
    ? integerArgument('property', property, 0, 0xffff_ffff)
    : partitionProperties[choiceArgument('property', property, propertyNames)];
}

const namesByCode = new Map(
  propertyNames.map((name) => [partitionProperties[name] as number, name]),
);

/** How messages call a property. */
export function propertyText(code: number): string {
  return namesByCode.get(code) ?? `0x${code.toString(16)}`;
}

/** `HVCALL_GET_PARTITION_PROPERTY`. */
export function getProperty(
  native: Native,
  fd: () => number,
  property: PartitionPropertyName | number,
): bigint {
  const code = propertyArgument(property);
  const borrowed = fd();
  hypercallPages.call(
    native,
    borrowed,
    'HVCALL_GET_PARTITION_PROPERTY',
    writeGetPartitionProperty(hypercallPages.input, code),
    hypercalls.HVCALL_GET_PARTITION_PROPERTY.output,
    `get the property ${propertyText(code)}`,
  );
  return readPartitionProperty(hypercallPages.output);
}

export interface PropertyExOptions {
  /** What the property takes, such as a VP's index. Default 0. */
  argument?: number | bigint;
  /** How many bytes to return, 1 to 4072. Default 4072. */
  size?: number;
}

/** `HVCALL_GET_PARTITION_PROPERTY_EX`. */
export function getPropertyEx(
  native: Native,
  fd: () => number,
  property: PartitionPropertyName | number,
  options: PropertyExOptions,
): Uint8Array {
  const most = hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.output;
  const code = propertyArgument(property);
  optionsArgument('options', options, ['argument', 'size']);
  const { argument = 0n, size: wanted = most } = options;
  const checked = uint64Argument('options.argument', argument);
  const size = integerArgument('options.size', wanted, 1, most);
  const borrowed = fd();
  hypercallPages.call(
    native,
    borrowed,
    'HVCALL_GET_PARTITION_PROPERTY_EX',
    writeGetPartitionPropertyEx(hypercallPages.input, code, checked),
    size,
    `get the property ${propertyText(code)}`,
  );
  return hypercallPages.outputBytes(size).slice();
}
