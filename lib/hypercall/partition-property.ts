import {
  writeGetPartitionProperty,
  writeGetPartitionPropertyEx,
  writeSetPartitionProperty,
} from '../abi/hypercall-inputs.js';
import { readPartitionProperty } from '../abi/hypercall-outputs.js';
import { hypercalls } from '../abi/hypercalls.js';
import { partitionProperties, type PartitionPropertyName } from '../abi/properties.js';
import { choiceArgument, integerArgument, uint64Argument } from '../arguments.js';
import { hypercallOf, hypercallPages, type HypercallTarget } from './hypercall-pages.js';
import { defaulting, integer, takeOptions, uint64, type OptionTable } from '../options.js';

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
  { native, fd }: HypercallTarget,
  property: PartitionPropertyName | number,
): bigint {
  const code = propertyArgument(property);
  const borrowed = fd();
  const call = hypercallOf(
    'HVCALL_GET_PARTITION_PROPERTY',
    `get the property ${propertyText(code)}`,
  );
  const length = writeGetPartitionProperty(hypercallPages.input, code);
  hypercallPages.call(native, borrowed, call, length);
  return readPartitionProperty(hypercallPages.output);
}

/** `HVCALL_SET_PARTITION_PROPERTY`. */
export function setProperty(
  { native, fd }: HypercallTarget,
  property: PartitionPropertyName | number,
  value: number | bigint,
): void {
  const code = propertyArgument(property);
  const checked = uint64Argument('value', value);
  const borrowed = fd();
  const call = hypercallOf(
    'HVCALL_SET_PARTITION_PROPERTY',
    `set the property ${propertyText(code)}`,
  );
  const length = writeSetPartitionProperty(hypercallPages.input, code, checked);
  hypercallPages.call(native, borrowed, call, length);
}

/** Which part of a property is read. */
export interface PropertyExOptions {
  /** What the property takes, such as a VP's index. Default 0. */
  argument?: number | bigint;
  /** How many bytes to return, 1 to 4072. Default 4072. */
  size?: number;
}

const largestOutput = hypercalls.HVCALL_GET_PARTITION_PROPERTY_EX.output;

const propertyExOptions = {
  argument: defaulting(uint64, 0n),
  size: defaulting(integer(1, largestOutput), largestOutput),
} satisfies OptionTable<PropertyExOptions>;

/** `HVCALL_GET_PARTITION_PROPERTY_EX`. */
export function getPropertyEx(
  { native, fd }: HypercallTarget,
  property: PartitionPropertyName | number,
  options: PropertyExOptions,
): Uint8Array {
  const code = propertyArgument(property);
  const { argument, size } = takeOptions('options', options, propertyExOptions);
  const borrowed = fd();
  const call = hypercallOf(
    'HVCALL_GET_PARTITION_PROPERTY_EX',
    `get the property ${propertyText(code)}`,
    { output: size },
  );
  const length = writeGetPartitionPropertyEx(hypercallPages.input, code, argument);
  hypercallPages.call(native, borrowed, call, length);
  return hypercallPages.outputBytes(size).slice();
}
