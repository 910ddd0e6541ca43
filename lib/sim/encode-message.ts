import { types } from 'node:util';

import {
  bytesArgument,
  booleanArgument,
  choiceArgument,
  integerArgument,
  isArray,
  optionsArgument,
  recordArgument,
  rangeError,
  typeError,
  uint64Argument,
} from '../arguments.js';
import { messageLayout } from '../abi/message-types.js';
import type { Field, FieldInputs, Layout } from '../abi/messages/layout.js';
import { allMessages } from '../abi/messages/table.js';
import { writeSegmentRegister } from '../abi/segment-register.js';

/** What `encodeMessage` can encode. */
export type EncodableType = keyof typeof allMessages;

/** The fields of a message by `type`, as `encodeMessage` takes them. */
export type MessageFields<Type extends EncodableType> = FieldInputs<
  (typeof allMessages)[Type]['layout']
>;

/** Writes the low `width` bits of `value` from bit `shift` of byte `at` on. */
function writeBits(view: DataView, at: number, shift: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) {
    const byte = at + ((shift + i) >> 3);
    const mask = 1 << ((shift + i) & 7);
    const rest = view.getUint8(byte) & ~mask;
    view.setUint8(byte, (value >> i) & 1 ? rest | mask : rest);
  }
}

function listArgument(name: string, value: unknown, most: number): readonly unknown[] {
  if (!isArray(value)) {
    throw typeError(name, 'an array', value);
  }
  if (value.length > most) {
    throw rangeError(name, `an array of at most ${most}`, value);
  }
  return value;
}

function writeField(view: DataView, name: string, field: Field, value: unknown): void {
  switch (field.kind) {
    case 'u8':
      view.setUint8(field.at, integerArgument(name, value, 0, 0xff));
      return;
    case 'u16':
      view.setUint16(field.at, integerArgument(name, value, 0, 0xffff), true);
      return;
    case 'u32':
      view.setUint32(field.at, integerArgument(name, value, 0, 0xffffffff), true);
      return;
    case 'u64':
    case 'gpa':
      view.setBigUint64(field.at, uint64Argument(name, value), true);
      return;
    case 'bits': {
      const { at, shift, width } = field;
      writeBits(view, at, shift, width, integerArgument(name, value, 0, 2 ** width - 1));
      return;
    }
    case 'flag':
      writeBits(view, field.at, field.shift, 1, booleanArgument(name, value) ? 1 : 0);
      return;
    case 'choice': {
      const named = field.names.filter((choice) => choice !== undefined);
      const code =
        typeof value === 'number'
          ? integerArgument(name, value, 0, 2 ** field.width - 1)
          : field.names.indexOf(choiceArgument(name, value, named));
      writeBits(view, field.at, 0, field.width, code);
      return;
    }
    case 'segment': {
      const given = recordArgument(name, value, ['base', 'limit', 'selector', 'attributes']);
      writeSegmentRegister(view, field.at, {
        base: uint64Argument(`${name}.base`, given['base']),
        limit: integerArgument(`${name}.limit`, given['limit'], 0, 0xffffffff),
        selector: integerArgument(`${name}.selector`, given['selector'], 0, 0xffff),
        attributes: integerArgument(`${name}.attributes`, given['attributes'], 0, 0xffff),
      });
      return;
    }
    case 'bytes': {
      const { at, count, most } = field;
      if (!types.isUint8Array(value)) {
        throw typeError(name, 'a Uint8Array', value);
      }
      bytesArgument(name, value);
      if (value.length > most) {
        throw rangeError(name, `at most ${most} bytes`, `${value.length} bytes`);
      }
      view.setUint8(count, value.length);
      value.forEach((byte, i) => {
        view.setUint8(at + i, byte);
      });
      return;
    }
    case 'u64s':
      listArgument(name, value, field.length).forEach((word, i) => {
        view.setBigUint64(field.at + 8 * i, uint64Argument(`${name}[${i}]`, word), true);
      });
      return;
    case 'u128s':
      listArgument(name, value, field.length).forEach((word, i) => {
        const whole = uint64Argument(`${name}[${i}]`, word, 0n, 2n ** 128n - 1n);
        view.setBigUint64(field.at + 16 * i, whole, true);
        view.setBigUint64(field.at + 16 * i + 8, whole >> 64n, true);
      });
      return;
    case 'signals': {
      const signals = listArgument(name, value, field.most);
      view.setUint8(field.count, signals.length);
      signals.forEach((signal, i) => {
        const given = recordArgument(`${name}[${i}]`, signal, ['partitionId', 'vpIndex']);
        const partition = uint64Argument(`${name}[${i}].partitionId`, given['partitionId']);
        const vp = integerArgument(`${name}[${i}].vpIndex`, given['vpIndex'], 0, 0xffffffff);
        view.setBigUint64(field.partitions + 8 * i, partition, true);
        view.setUint32(field.vps + 4 * i, vp, true);
      });
      return;
    }
    case 'ranges': {
      const ranges = listArgument(name, value, field.most);
      writeBits(view, field.count, 0, field.countWidth, ranges.length);
      ranges.forEach((range, i) => {
        const at = `${name}[${i}]`;
        const given = recordArgument(at, range, ['page', 'additionalPages', 'large']);
        const page = uint64Argument(`${at}.page`, given['page'], 0n, 2n ** 52n - 1n);
        const more = integerArgument(`${at}.additionalPages`, given['additionalPages'], 0, 2047);
        const large = booleanArgument(`${at}.large`, given['large']) ? 1n << 11n : 0n;
        view.setBigUint64(field.at + 8 * i, (page << 12n) | large | BigInt(more), true);
      });
      return;
    }
  }
}

/**
 * The 256 bytes of a message: what a simulated hypervisor or a test delivers. Fields that are not given are 0.
 *
 * @param type - as the decoded message has it
 * @param fields - of the decoded message; derived ones, such as `value`, cannot be given. A `gpa` is encoded as it is, and
 *   decoded as the class has it; `instructionByteCount` is the number of `instructionBytes` unless it is given
 * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, RangeError `ERR_OUT_OF_RANGE`
 */
export function encodeMessage<Type extends EncodableType>(
  type: Type,
  fields: MessageFields<Type> = {},
): Uint8Array {
  const names = Object.keys(allMessages) as EncodableType[];
  const { code, layout, size } = allMessages[choiceArgument('type', type, names)];
  const known: Layout = layout;
  optionsArgument<Readonly<Record<string, unknown>>>('fields', fields, Object.keys(known));
  const message = new Uint8Array(messageLayout.size);
  const header = new DataView(message.buffer);
  header.setUint32(messageLayout.type, code, true);
  header.setUint8(messageLayout.payloadSize, size);
  const payload = new DataView(message.buffer, messageLayout.payload);
  for (const [name, field] of Object.entries(known)) {
    const value: unknown = Reflect.get(fields, name);
    if (value !== undefined) {
      writeField(payload, `fields.${name}`, field, value);
    }
  }
  return message;
}
