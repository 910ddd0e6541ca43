// The functions of its user that the library calls, and the ways in which a process ends inside one of them.

/** What throws in them is: thrown on, so that the process dies of it, or reported to `onError`. */
export const handlerThrows = {
  'a handler of exits': 'dies',
  'an asynchronous handler of exits': 'dies',
  'a loop of run()': 'dies',
  'what waits for the end of a run': 'dies',
  'a listener of an eventfd': 'dies',
  'an iteration over an eventfd': 'dies',
  'a listener of a doorbell': 'dies',
  'a listener of a masked route': 'dies',
  'a listener of the end of an interrupt': 'dies',
  'a port for messages': 'reported ERR_MSHV_PORT_HANDLER',
  'a port for messages that answers later': 'reported ERR_MSHV_PORT_HANDLER',
  'a port for events': 'reported ERR_MSHV_PORT_HANDLER',
  'a port for events of a monitor': 'reported ERR_MSHV_PORT_HANDLER',
  'a hypercall of the VMM': 'reported ERR_MSHV_HYPERCALL_HANDLER',
  'an answer to a retarget': 'reported ERR_MSHV_HYPERCALL_HANDLER',
  'what waits for a free slot': 'dies',
  'a listener of failures': 'dies',
} as const;

export type HandlerName = keyof typeof handlerThrows;

export const handlerEnds = [
  'exits',
  'throws',
  'throws later',
  'leaves a rejection',
  'is terminated',
  'is killed',
] as const;

export type HandlerEnd = (typeof handlerEnds)[number];
