import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';

const TRACEFS = '/sys/kernel/tracing';
const NR_IOCTL_X86_64 = 16;
const BUFFER_KIB_PER_CPU = 16384;
const READ_SIZE = 65536;

const IOCTL = /: sys_enter: NR \d+ \([0-9a-f]+, ([0-9a-f]+),/;
const ROUTING_TABLE = /: mshv_update_routing_table: partition_id=(\d+) .*numents=(\d+)/;
const LOST = /\[LOST (\d+) EVENTS\]/;

/**
 * What the driver was asked to do, as the kernel's own tracepoints saw it: every ioctl by
 * `raw_syscalls:sys_enter`, refused ones included, and every MSI routing table that the driver took
 * by `mshv:mshv_update_routing_table`. All threads and processes of the VM count.
 *
 * Counts from its construction on. Needs root and x86-64. Whoever lets more than about 100 000
 * ioctls pass between two calls gets an error, never a short count.
 */
export class DriverTrace {
  readonly #instance: string;
  readonly #pipe: number;
  readonly #buffer = Buffer.allocUnsafe(READ_SIZE);
  #rest = '';
  #ioctls = new Map<number, number>();
  #tables = new Map<number, number[]>();

  constructor() {
    if (!existsSync(`${TRACEFS}/events/mshv`)) {
      throw new Error(`no ${TRACEFS}/events/mshv: tracefs is not mounted, or there is no driver`);
    }
    // A private instance, so that two traces do not take each other's events.
    this.#instance = mkdtempSync(`${TRACEFS}/instances/mshv-`);
    this.#pipe = openSync(
      `${this.#instance}/trace_pipe`,
      constants.O_RDONLY | constants.O_NONBLOCK,
    );
    this.#set('buffer_size_kb', BUFFER_KIB_PER_CPU);
    this.#set('events/raw_syscalls/sys_enter/filter', `id == ${NR_IOCTL_X86_64}`);
    this.#set('events/raw_syscalls/sys_enter/enable', 1);
    this.#set('events/mshv/mshv_update_routing_table/enable', 1);
  }

  /** How often the ioctl with this request number was issued. */
  ioctls(request: number): number {
    this.collect();
    return this.#ioctls.get(request) ?? 0;
  }

  /**
   * Takes the number of entries of every routing table that the driver accepted for a partition
   * (the hypervisor's id), oldest first.
   */
  routingTables(partition: number): number[] {
    this.collect();
    const taken = this.#tables.get(partition) ?? [];
    this.#tables.delete(partition);
    return taken;
  }

  /** Reads what the kernel has traced, so that its buffer cannot overflow. */
  collect(): void {
    for (let chunk = this.#read(); chunk !== ''; chunk = this.#read()) {
      const lines = (this.#rest + chunk).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#record(line);
    }
  }

  close(): void {
    closeSync(this.#pipe);
    rmdirSync(this.#instance);
  }

  #record(line: string): void {
    const request = IOCTL.exec(line)?.[1];
    if (request !== undefined) {
      // The C library may have sign-extended the request to 64 bits.
      const number = parseInt(request.slice(-8), 16);
      this.#ioctls.set(number, (this.#ioctls.get(number) ?? 0) + 1);
      return;
    }
    const [, partition, entries] = ROUTING_TABLE.exec(line) ?? [];
    if (partition !== undefined && entries !== undefined) {
      const seen = this.#tables.get(Number(partition));
      if (seen) seen.push(Number(entries));
      else this.#tables.set(Number(partition), [Number(entries)]);
      return;
    }
    const lost = LOST.exec(line)?.[1];
    if (lost !== undefined) throw new Error(`${lost} traced events were overwritten unread`);
  }

  #read(): string {
    try {
      const length = readSync(this.#pipe, this.#buffer, 0, READ_SIZE, null);
      return this.#buffer.toString('latin1', 0, length);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return '';
      throw error;
    }
  }

  #set(file: string, value: string | number): void {
    writeFileSync(`${this.#instance}/${file}`, String(value));
  }
}
