/**
 * What CI runs by arm64 Node.js under qemu-user, within minutes: where the addons meet the processor (descriptors, memory, threads
 * that run VPs), what is decoded, and the machine of arm64; the examples; and of what the lab tests, too, how a guest and its host meet.
 */
export const bounded: readonly string[] = [
  'test/unit/abi/intercepts.test.ts',
  'test/unit/eventfd/eventfd-waits.test.ts',
  'test/unit/eventfd/eventfd.test.ts',
  'test/unit/examples.test.ts',
  'test/unit/irq/irqfd.test.ts',
  'test/unit/memory/guest-memory.test.ts',
  'test/unit/sim/arm64-machine.test.ts',
  'test/unit/vp/vp-start.test.ts',
  'test/unit/vp/vp-state.test.ts',
  'test/unit/vp/vp.test.ts',
  'test/conformance/hypercalls.test.ts',
  'test/conformance/irqfd-routes.test.ts',
  'test/conformance/partition-hypercalls.test.ts',
  'test/conformance/synic-hypercall-handlers.test.ts',
  'test/conformance/synic-hypercall-inputs.test.ts',
  'test/conformance/synic-hypercalls-of-the-vmm.test.ts',
  'test/conformance/synic-hypercalls.test.ts',
  'test/conformance/vp-exits.test.ts',
  'test/conformance/vp-hypercalls.test.ts',
];
