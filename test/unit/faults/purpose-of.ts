import { type RecordedCall, takesAway } from '../../fake-native.js';

/** What a call is for, in the words of those who write routes. */
export function purposeOf({ name, args }: RecordedCall): string {
  switch (name) {
    case 'irqfd':
      return takesAway(name, args) ? 'disarm' : 'arm';
    case 'setMsiRouting':
      return 'push';
    case 'eventfdCreate':
      return 'create';
    default:
      return name;
  }
}
