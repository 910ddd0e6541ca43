import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** One interrupt that the driver handed to the fake hypervisor. */
export interface AssertedInterrupt {
  readonly partition: number;
  readonly vector: number;
  /** The APIC id or logical destination; the VP's index where `fast`. */
  readonly destination: number;
  /** `HV_X64_INTERRUPT_TYPE_*`; 0 (fixed) where `fast`. */
  readonly type: number;
  readonly level: boolean;
  readonly logical: boolean;
  /** The VP that it went to; undefined where that is a set of VPs, nobody, or several with one APIC id. */
  readonly vp: number | undefined;
  /**
   * It came through the VP's register page and not by `HVCALL_ASSERT_VIRTUAL_INTERRUPT`. The page
   * carries the vector only, and the hypervisor sees it when the VP is next dispatched.
   */
  readonly fast: boolean;
}

/** A message that was put into the slot of a VP's SINT. */
export interface PostedMessage {
  readonly vp: number;
  readonly vtl: number;
  readonly sint: number;
  readonly type: number;
  /** How many bytes of payload there are. */
  readonly size: number;
  /** The first of them: the log has 32. */
  readonly head: Uint8Array;
}

/** A flag that was set in the event flags of a VP's SINT. */
export interface SignaledEvent {
  readonly vp: number;
  readonly vtl: number;
  readonly sint: number;
  readonly flag: number;
}

/** One line of the fake hypervisor's log, such as `SET_PROP pt=3 code=0x1 value=0x0 status=0x0`. */
export interface HypervisorEvent {
  readonly sequence: number;
  readonly name: string;
  readonly text: string;
}

/** What the hypervisor has been given for a partition and has not given back. */
interface Holding {
  /** Guest pages, or the first of each 2 MiB that were mapped as one. */
  readonly pages: Set<number>;
  statePages: number;
}

const READ_SIZE = 65536;
const LONGEST_LINE = 256;
/** Of a `gread`. */
const LONGEST_READ = 64;
/** Of `struct hv_message`, in bytes. */
const MESSAGE_HEADER = 16;
const MESSAGE_PAYLOAD_SIZE = 4;
/** `HV_MAP_GPA_LARGE_PAGE` and `HV_UNMAP_GPA_LARGE_PAGE`: the pages are of 2 MiB. */
const LARGE_PAGE = { MAP_GPA: 0x80000000, UNMAP_GPA: 2 };
/** `HV_MAP_GPA_NO_ACCESS`: there is no memory of the host behind the pages. */
const NO_ACCESS = 0x10000;

/**
 * The guest's side of the lab's fake hypervisor, over `/dev/fakehv`. A partition is named by the
 * hypervisor's id, see {@link newestPartition}.
 *
 * Sees what happened since it was constructed. The hypervisor keeps 8192 log lines and an interrupt
 * takes two: whoever lets more than 4000 pass between two calls gets an error, never a short answer.
 * What it sets holds for the whole VM. With `--svm` the hypervisor does not log interrupts unless
 * the VM runs with `--append fakehv.svm_trace=1`.
 */
export class FakeHypervisor {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(READ_SIZE);
  #next: number | undefined;
  readonly #interrupts = new Map<number, AssertedInterrupt[]>();
  readonly #messages = new Map<number, PostedMessage[]>();
  readonly #signals = new Map<number, SignaledEvent[]>();
  #events: HypervisorEvent[] = [];
  #hypercalls = new Map<number, number>();
  #partitions: number[] = [];
  #holdings = new Map<number, Holding>();
  /** What the last `dump` showed beside partitions. */
  #ports: string[] = [];
  #occupiedSlots: string[] = [];
  #statsPages = 0;
  #statsPagesBefore = 0;
  #leaks: string[] = [];

  constructor(path = '/dev/fakehv') {
    this.#fd = openSync(path, 'r+');
    this.clear();
  }

  /** Takes the interrupts of a partition, oldest first. */
  interrupts(partition: number): AssertedInterrupt[] {
    this.collect();
    return takeAll(this.#interrupts, partition);
  }

  /** Takes the interrupts of all partitions, by partition, each oldest first. */
  allInterrupts(): ReadonlyMap<number, readonly AssertedInterrupt[]> {
    this.collect();
    const taken = new Map(this.#interrupts);
    this.#interrupts.clear();
    return taken;
  }

  /** Takes the messages that SINTs of a partition were given, oldest first. Scripted mode only. */
  messages(partition: number): PostedMessage[] {
    this.collect();
    return takeAll(this.#messages, partition);
  }

  /** Takes the events that SINTs of a partition were given, oldest first. Scripted mode only. */
  signals(partition: number): SignaledEvent[] {
    this.collect();
    return takeAll(this.#signals, partition);
  }

  /** Takes the log lines that are neither interrupts, messages, signals nor hypercalls, oldest first. */
  events(): HypervisorEvent[] {
    this.collect();
    return this.#events.splice(0);
  }

  /** How many hypercalls of a code the driver has made, refused ones included. Scripted mode only. */
  hypercalls(code: number): number {
    this.collect();
    return this.#hypercalls.get(code) ?? 0;
  }

  /** The partitions that exist, oldest first. */
  partitions(): readonly number[] {
    this.#dump();
    return this.#partitions;
  }

  /**
   * What partitions left behind since this object was constructed, or last cleared, in the
   * hypervisor's words; empty where they are gone with everything that they had: no partition and no
   * port exists, no message slot is occupied, there are as many statistics pages as at the start, and
   * each deleted partition had got its deposited pages back, its guest pages unmapped and (where
   * hypercalls are logged, which is the scripted mode) its VP state pages.
   *
   * Guest pages without access do not count: the driver leaves those that the guest never touched as they
   * are when it unmaps a region (`mshv_region_unmap`), and no memory of the host is behind them.
   */
  leftovers(): string[] {
    this.#dump();
    return [
      ...this.#leaks,
      ...this.#partitions.map((partition) => `partition ${partition} exists`),
      ...this.#ports,
      ...this.#occupiedSlots,
      ...(this.#statsPages === this.#statsPagesBefore
        ? []
        : [
            `${this.#statsPages} statistics pages where ${this.#statsPagesBefore} were at the start`,
          ]),
    ];
  }

  /** The partition created last that still exists. */
  newestPartition(): number {
    const newest = this.partitions().at(-1);
    if (newest === undefined) throw new Error('the hypervisor has no partition');
    return newest;
  }

  /**
   * The guest ends a level-triggered interrupt: an APIC-EOI message for the driver. False where the
   * driver did not take the message because no resample irqfd has a GSI equal to `vector`; the
   * message slot, which the driver leaves occupied then, is freed again.
   */
  endOfInterrupt(partition: number, vp: number, vector: number): boolean {
    this.collect();
    const before = this.#events.length;
    this.#command('eoi', partition, vp, vector);
    this.collect();
    const stuck = this.#events.findIndex(({ name }, i) => i >= before && name === 'STUCK:');
    if (stuck < 0) return true;
    this.#events.splice(stuck, 1);
    this.#command('slotreset');
    return false;
  }

  /** The guest writes `size` bytes (1, 2, 4, 8) of MMIO. False where no doorbell matches. */
  writeMmio(partition: number, gpa: bigint, size: number, value: bigint): boolean {
    try {
      this.#command('mmio', partition, gpa, size, value);
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Queues an intercept message of up to 256 bytes, header included, for a VP. */
  queueIntercept(partition: number, vp: number, message: Uint8Array): void {
    this.#command('msg', partition, vp, Buffer.from(message).toString('hex'));
  }

  /**
   * The guest reads memory. Fails with `ENXIO` where none is mapped, `EACCES` where the guest may not, or
   * the driver has not resolved its first access yet.
   */
  readMemory(partition: number, gpa: bigint, length: number): Uint8Array {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at += LONGEST_READ) {
      const part = Math.min(LONGEST_READ, length - at);
      const read = this.#ask('GREAD', 'gread', partition, gpa + BigInt(at), part);
      bytes.write(word(read, 'data'), at, 'hex');
    }
    return bytes;
  }

  /** The guest writes memory, at most 4096 bytes. Fails like `readMemory`. */
  writeMemory(partition: number, gpa: bigint, bytes: Uint8Array): void {
    this.#command('gwrite', partition, gpa, Buffer.from(bytes).toString('hex'));
  }

  /** The low half of a VP's register, without the driver and without refusals. */
  register(partition: number, vp: number, name: number): bigint {
    return BigInt(word(this.#ask('REG', 'getreg', partition, vp, name), 'lo'));
  }

  /** Writes a register of a VP, as the hypervisor does by itself. */
  setRegister(partition: number, vp: number, name: number, value: bigint): void {
    this.#command('reg', partition, vp, name, value, 0);
  }

  /** Lets the next `count` hypercalls of a code fail with a hypervisor status. */
  inject(code: number, status: number, count = 1): void {
    this.#command('inject', code, status, count);
  }

  /** Refuses fixed vectors below 16, as the TLFS has it, or takes them. */
  setStrict(strict: boolean): void {
    this.#command('strict', strict ? 1 : 0);
  }

  /** Offers injection through the register page, or stops offering it; needs the root scheduler. */
  setFastInjection(offered: boolean): void {
    this.#command('ext_features', offered ? 0x200 : 0);
  }

  /** All VPs take the vectors that the driver has put into their register pages, as they do when they are dispatched. */
  takePageVectors(): void {
    this.#command('scan');
  }

  /** Completes changes of partition properties by message, or at once. */
  setAsyncProperties(asynchronous: boolean): void {
    this.#command('async', asynchronous ? 1 : 0);
  }

  /** Writes `MARK text` into the log. */
  mark(text: string): void {
    this.#command('mark', text);
  }

  /** Forgets everything logged up to now. */
  clear(): void {
    this.#next = undefined;
    this.collect();
    this.#interrupts.clear();
    this.#messages.clear();
    this.#signals.clear();
    this.#hypercalls.clear();
    this.#dump();
    this.#statsPagesBefore = this.#statsPages;
    this.#leaks = [];
    this.#events = [];
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Reads the log into this object, so that the hypervisor's ring cannot overflow. */
  collect(): void {
    for (;;) {
      const length = readSync(this.#fd, this.#buffer, 0, READ_SIZE, null);
      if (length === 0) return;
      for (const line of this.#buffer.toString('latin1', 0, length).split('\n')) {
        if (line === '') continue;
        const name = line.indexOf(' ') + 1;
        const end = line.indexOf(' ', name);
        this.#record({
          sequence: Number(line.slice(0, name)),
          name: line.slice(name, end < 0 ? undefined : end),
          text: end < 0 ? '' : line.slice(end + 1),
        });
      }
      if (length < READ_SIZE - LONGEST_LINE) return;
    }
  }

  #record(event: HypervisorEvent): void {
    const { sequence, name, text } = event;
    const lost = sequence - (this.#next ?? sequence);
    this.#next = sequence + 1;
    if (lost > 0) throw new Error(`${lost} lines of the hypervisor's log were overwritten unread`);
    switch (name) {
      case 'ASSERT':
        if (field(text, 'status') === 0) {
          append(this.#interrupts, field(text, 'pt'), {
            partition: field(text, 'pt'),
            vector: field(text, 'vector'),
            destination: field(text, 'dest'),
            type: field(text, 'type'),
            level: field(text, 'level') === 1,
            logical: field(text, 'logical') === 1,
            vp: field(text, 'vp') < 0 ? undefined : field(text, 'vp'),
            fast: false,
          });
        }
        break;
      case 'FAST_INJECT':
        append(this.#interrupts, field(text, 'pt'), {
          partition: field(text, 'pt'),
          vector: field(text, 'vector'),
          destination: field(text, 'vp'),
          type: 0,
          level: false,
          logical: false,
          vp: field(text, 'vp'),
          fast: true,
        });
        break;
      case 'POST_MESSAGE_DIRECT':
        append(this.#messages, field(text, 'pt'), postedMessage(text));
        break;
      case 'SIGNAL_EVENT_DIRECT':
        append(this.#signals, field(text, 'pt'), {
          vp: field(text, 'vp'),
          vtl: field(text, 'vtl'),
          sint: field(text, 'sint'),
          flag: field(text, 'flag'),
        });
        break;
      case 'HC': {
        const code = field(text, 'code');
        this.#hypercalls.set(code, (this.#hypercalls.get(code) ?? 0) + 1);
        if (text.includes(' MAP_VP_STATE_PAGE ') && field(text, 'status') === 0) {
          this.#holding(text).statePages++;
        } else if (text.includes(' UNMAP_VP_STATE_PAGE ') && field(text, 'status') === 0) {
          this.#holding(text).statePages--;
        }
        break;
      }
      case 'DUMP':
        if (text.includes(' init=')) this.#partitions.push(field(text, 'pt'));
        else if (text.startsWith('port=')) this.#ports.push(text);
        else if (text.startsWith('cpu=')) {
          if (field(text, 'slot') !== 0 || field(text, 'pending') !== 0) {
            this.#occupiedSlots.push(text);
          }
        } else if (text.startsWith('stats_pages=')) this.#statsPages = field(text, 'stats_pages');
        break;
      default:
        this.#account(event);
        this.#events.push(event);
    }
  }

  #account({ name, text }: HypervisorEvent): void {
    switch (name) {
      case 'MAP_GPA':
      case 'UNMAP_GPA': {
        const { pages } = this.#holding(text);
        const flags = field(text, 'flags');
        const step = flags & LARGE_PAGE[name] ? 512 : 1;
        const first = field(text, 'gfn');
        const count = field(text, name === 'MAP_GPA' ? 'done' : 'n');
        for (let page = first; page < first + count * step; page += step) {
          if (name === 'MAP_GPA' && !(flags & NO_ACCESS)) pages.add(page);
          else pages.delete(page);
        }
        break;
      }
      case 'DELETE_PARTITION': {
        const { pages, statePages } = this.#holding(text);
        if (field(text, 'leaked_deposit') !== 0 || pages.size > 0 || statePages !== 0) {
          this.#leaks.push(`${text} guest_pages=${pages.size} state_pages=${statePages}`);
        }
        this.#holdings.delete(field(text, 'pt'));
      }
    }
  }

  #holding(text: string): Holding {
    const partition = field(text, 'pt');
    let holding = this.#holdings.get(partition);
    if (holding === undefined) {
      holding = { pages: new Set(), statePages: 0 };
      this.#holdings.set(partition, holding);
    }
    return holding;
  }

  #dump(): void {
    this.collect();
    this.#partitions = [];
    this.#ports = [];
    this.#occupiedSlots = [];
    this.#command('dump');
    this.collect();
  }

  /** Gives a command that answers with a line of the log, and takes that. */
  #ask(name: string, ...command: (string | number | bigint)[]): string {
    this.collect();
    const before = this.#events.length;
    this.#command(...command);
    this.collect();
    const found = this.#events.findIndex((event, i) => i >= before && event.name === name);
    const [answer] = found < 0 ? [] : this.#events.splice(found, 1);
    if (answer === undefined) throw new Error(`the hypervisor did not answer ${command.join(' ')}`);
    return answer.text;
  }

  #command(...words: (string | number | bigint)[]): void {
    writeSync(this.#fd, words.join(' '));
  }
}

function word(text: string, key: string): string {
  // Not a regular expression: thousands of lines are read in some tests, by an emulated processor.
  const at = text.startsWith(`${key}=`) ? 0 : text.indexOf(` ${key}=`) + 1;
  if (at === 0 && !text.startsWith(`${key}=`)) {
    throw new Error(`no ${key} in the hypervisor's log line "${text}"`);
  }
  const value = at + key.length + 1;
  const end = text.indexOf(' ', value);
  return text.slice(value, end < 0 ? undefined : end);
}

function field(text: string, key: string): number {
  return Number(word(text, key));
}

function postedMessage(text: string): PostedMessage {
  const bytes = Buffer.from(word(text, 'head'), 'hex');
  const size = bytes[MESSAGE_PAYLOAD_SIZE] ?? 0;
  return {
    vp: field(text, 'vp'),
    vtl: field(text, 'vtl'),
    sint: field(text, 'sint'),
    type: bytes.readUInt32LE(),
    size,
    head: new Uint8Array(bytes.subarray(MESSAGE_HEADER, MESSAGE_HEADER + size)),
  };
}

function append<Value>(lists: Map<number, Value[]>, partition: number, value: Value): void {
  const list = lists.get(partition);
  if (list === undefined) lists.set(partition, [value]);
  else list.push(value);
}

function takeAll<Value>(lists: Map<number, Value[]>, partition: number): Value[] {
  const taken = lists.get(partition) ?? [];
  lists.delete(partition);
  return taken;
}
