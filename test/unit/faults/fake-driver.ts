import { hypercallName } from '../../../lib/abi/hypercalls.js';
import { hvStatusCodes } from '../../../lib/abi/hv-status.js';
import { registerPageLayout } from '../../../lib/abi/register-page.js';
import { memoryFlags } from '../../../lib/abi/memory.js';
import { vpStateTypes } from '../../../lib/abi/vp-state.js';
import { Mshv, type Partition, type Vp } from '../../../lib/index.js';
import {
  type FakeAnswer,
  FakeNative,
  type FakeHypercall,
  type RecordedCall,
  takesAway,
} from '../../fake-native.js';
import { noteCall } from './entered.js';
import { errnoOf, fallibleFunctions, faultsOfFunction, isIoctl } from './errnos.js';
import { purposeOf } from './purpose-of.js';
import type { DriverView, Faults, FaultyDriver, Step } from './situation.js';

/** Hypercalls that change nothing. */
const reads: ReadonlySet<string | undefined> = new Set([
  'HVCALL_GET_PARTITION_PROPERTY',
  'HVCALL_GET_PARTITION_PROPERTY_EX',
  'HVCALL_GET_VP_REGISTERS',
  'HVCALL_GET_VP_CPUID_VALUES',
  'HVCALL_TRANSLATE_VIRTUAL_ADDRESS',
]);

/** What the property `MAX_XSAVE_DATA_SIZE` says. */
const xsaveSize = 4096;

/** FakeNative, each of whose fallible functions is a step. */
export class FakeDriver implements FaultyDriver {
  readonly native = new FakeNative();
  /** The changes that the hypervisor has been asked for, each once. */
  readonly #changes = new Set<string>();
  /** The SINTs whose message slot is full. */
  readonly #slots = new Set<string>();

  constructor() {
    this.native.hypervisor = (call) => this.#answer(call);
  }

  #answer({ code, input, output }: FakeHypercall): FakeAnswer | undefined {
    const name = hypercallName(code);
    if (name === 'HVCALL_GET_PARTITION_PROPERTY') {
      new DataView(output.buffer).setBigUint64(0, BigInt(xsaveSize), true);
    }
    // Bytes 0 to 7 are the driver's.
    const change = `${name} ${Buffer.from(input.subarray(8)).toString('hex')}`;
    if (name === 'HVCALL_POST_MESSAGE_DIRECT') {
      // The VP, its VTL and the SINT.
      const slot = Buffer.from(input.subarray(8, 20)).toString('hex');
      if (this.#slots.has(slot)) return { status: hvStatusCodes.HV_STATUS_OBJECT_IN_USE };
      this.#slots.add(slot);
    }
    if (!reads.has(name)) this.#changes.add(change);
    return undefined;
  }

  open(): Mshv {
    return Mshv.open({ native: this.native });
  }

  exitWith(_: Partition, vp: Vp, message: Uint8Array): void {
    this.native.vps.of(vp.fd).queue(message);
  }

  validatePage(vp: Vp): void {
    this.native.vps.of(vp.fd).pages[0]?.set([1], registerPageLayout.isValid);
  }

  giveStates(vp: Vp): void {
    const { states } = this.native.vps.of(vp.fd);
    states.set(vpStateTypes.lapic, new Uint8Array(4096));
    states.set(vpStateTypes.xsave, new Uint8Array(xsaveSize));
    states.set(vpStateTypes['synthetic-timers'], new Uint8Array(200));
  }

  emptySlots(): void {
    this.#slots.clear();
  }

  books(): unknown {
    return { native: this.native.books(), changes: [...this.#changes].sort() };
  }

  view(partition: Partition): DriverView | undefined {
    const driver = partition.closed ? undefined : this.native.partitions.get(partition.fd);
    return (
      driver && {
        armed: [...driver.armed.keys()],
        routes: [...driver.routes].map(([gsi, { address, data }]) => [gsi, address, data]),
        mappings: driver.memory.mappings.map(({ gpa, size, flags }) => ({
          gpa,
          size,
          writable: (flags & memoryFlags.WRITABLE) !== 0,
          executable: (flags & memoryFlags.EXECUTABLE) !== 0,
        })),
        doorbells: driver.doorbells.all,
      }
    );
  }

  violations(): readonly string[] {
    return this.native.violations;
  }

  lost(): readonly number[] {
    return this.native.closedArmed;
  }

  record(faults: Faults): void {
    this.native.record((_, index) => {
      noteCall();
      const fault = faults.get(index);
      if (fault === undefined) return undefined;
      const errno = errnoOf(fault.errno);
      return fault.status === undefined ? errno : { errno, status: hvStatusCodes[fault.status] };
    });
  }

  recorded(): readonly Step[] {
    const { calls } = this.native;
    const steps = calls.map((call, i) => stepOf(call, i === calls.length - 1));
    this.native.record();
    return steps;
  }

  close(): void {
    this.native.record();
  }
}

function stepOf(call: RecordedCall, last: boolean): Step {
  const { name, args } = call;
  const undoes = takesAway(name, args);
  return {
    name,
    purpose: purposeOf(call),
    faults: faultsOfFunction(name, undoes),
    ioctl: fallibleFunctions[name].calls.findLast(isIoctl),
    undoes,
    last,
  };
}
