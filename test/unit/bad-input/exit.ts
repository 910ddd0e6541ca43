import { InterceptMessages } from '../../../lib/abi/intercepts.js';
import { type EncodableType, encodeMessage } from '../../../lib/sim/encode-message.js';
import { type Argument, instance, required } from './argument.js';
import { host, subjects } from './subjects.js';

/** Lets VP 0 stop with an exit, which it is to be completed of. */
export function stopWith(...[kind, fields]: Parameters<typeof encodeMessage>): unknown {
  const { vp } = subjects;
  host.native.vps.of(vp.fd).queue(encodeMessage(kind, fields));
  const exit = vp.run();
  host.native.record();
  return exit;
}

/** An exit that no VP has stopped with. */
export const exitOf = (...[kind, fields]: Parameters<typeof encodeMessage>) =>
  new InterceptMessages(encodeMessage(kind, fields)).current;

export function exitArgument(className: string, ...others: EncodableType[]): Argument {
  return required(instance('exit', className, ...others.map((kind) => exitOf(kind, {}))));
}

export const read = { access: 'read', instructionLength: 2 } as const;

export const write = { access: 'write', instructionLength: 2 } as const;

export const cpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
