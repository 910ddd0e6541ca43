import { x64Registers } from '../abi/x64-registers.js';
import type { MessageVpOwner } from './deliverability-notifications.js';

/** The registers of a partition's VPs: a `Partition` has them. */
export interface RegisterPartition {
  /** As `partition.getRegisters`. */
  getRegisters(
    vp: number,
    names: Uint32Array,
    values?: BigUint64Array,
    vtl?: number,
  ): BigUint64Array;
  /** As `partition.setRegisters`. */
  setRegisters(vp: number, names: Uint32Array, values: BigUint64Array, vtl?: number): void;
}

/** `HvRegisterDeliverabilityNotifications`, on every architecture (hvdef): SINT n is bit 48 + n. The bits below are those of interrupts and NMIs. */
const register = Uint32Array.of(x64Registers.DELIVERABILITY_NOTIFICATIONS);
const sintsShift = 48n;

/** The deliverability notifications of a VP, by hypercall: the VP may be running. */
export class DeliverabilityRegister implements MessageVpOwner {
  readonly #partition: RegisterPartition;
  readonly #vp: number;
  readonly #values = new BigUint64Array(2);

  constructor(partition: RegisterPartition, vp: number) {
    this.#partition = partition;
    this.#vp = vp;
  }

  setDeliverabilityNotifications(vtl: number, sints: number): void {
    const values = this.#values;
    this.#partition.getRegisters(this.#vp, register, values, vtl);
    const others = BigInt.asUintN(Number(sintsShift), values[0] ?? 0n);
    values[0] = (BigInt(sints) << sintsShift) | others;
    values[1] = 0n;
    this.#partition.setRegisters(this.#vp, register, values, vtl);
  }
}
