import { readSegmentRegister } from '../segment-register.js';
import type { Field, Layout, PlainFields } from './layout.js';
import { addFieldNames, Message } from './message.js';

/** How a field is read. One look at the bytes each: who shares them may change them at any moment. */
abstract class Reading extends Message {
  /** The getter of a plain field, undefined for others. */
  static getter(field: Field): ((this: Reading) => unknown) | undefined {
    if (field.kind === 'signals') {
      return undefined;
    }
    const { at } = field;
    switch (field.kind) {
      case 'u8':
        return function () {
          return this.view.getUint8(at);
        };
      case 'u16':
        return function () {
          return this.view.getUint16(at, true);
        };
      case 'u32':
        return function () {
          return this.view.getUint32(at, true);
        };
      case 'u64':
        return function () {
          return this.view.getBigUint64(at, true);
        };
      case 'flag': {
        const byte = at + (field.shift >> 3);
        const mask = 1 << (field.shift & 7);
        return function () {
          return (this.view.getUint8(byte) & mask) !== 0;
        };
      }
      case 'bits': {
        const { shift } = field;
        const mask = 2 ** field.width - 1;
        return shift + field.width > 8
          ? function () {
              return (this.view.getUint16(at, true) >> shift) & mask;
            }
          : function () {
              return (this.view.getUint8(at) >> shift) & mask;
            };
      }
      case 'choice': {
        const { names } = field;
        return field.width === 8
          ? function () {
              const code = this.view.getUint8(at);
              return names[code] ?? code;
            }
          : function () {
              const code = this.view.getUint32(at, true);
              return names[code] ?? code;
            };
      }
      case 'segment':
        return function () {
          return readSegmentRegister(this.view, at);
        };
      default:
        return undefined;
    }
  }
}

/**
 * Gives a class of messages the plain fields of a layout as getters, which read where the layout says. Its types come
 * from there too: an interface of the same name extends `PlainFields<typeof layout>`. The fields of other kinds are the
 * class's own: `implements Fields<typeof layout>` demands them.
 */
export function defineFields<L extends Layout>(
  { prototype }: { readonly prototype: Message & PlainFields<L> },
  layout: L,
): void {
  addFieldNames(prototype, Object.keys(layout));
  for (const [name, field] of Object.entries<Field>(layout)) {
    const get = Reading.getter(field);
    if (get !== undefined) {
      Object.defineProperty(prototype, name, { get, configurable: true });
    }
  }
}
