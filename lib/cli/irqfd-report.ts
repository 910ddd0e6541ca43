import { sumOutcomes, type IrqfdReport, type Outcome, type RouteOutcome } from './irqfd-check.js';
import type { LatencySummary } from './latency.js';
import { renderTable, type Column } from './table.js';

/** More routes than these are summed up by VP. */
const routesShown = 8;

/** The report for people: plain text, so many columns wide. The verdict is `verdictOf`. */
export function describeReport(report: IrqfdReport, width: number): string {
  const parts = [describeSetting(report, width), describeOutcomes(report, width)];
  if (report.latencyNs !== null) {
    parts.push(describeLatency(report.latencyNs, width));
  }
  if (report.faults.length > 0) {
    parts.push(describeFaults(report, width));
  }
  return parts.join('\n\n');
}

/** What the report comes to, and what to do where it is bad: lines of any width. */
export function verdictOf(report: IrqfdReport): string {
  const { interrupted, plan, partition, total } = report;
  const verdict = resultOf(report);
  if (!interrupted) return verdict;
  return `Interrupted after ${total.signals} of ${plan.signals * partition.routes} signals.\nUntil then: ${verdict}`;
}

function resultOf({ ok, total }: IrqfdReport): string {
  const { signals, interrupts, lost, extra, wrong } = total;
  const counts = `lost ${lost}, extra ${extra}, wrong ${wrong}`;
  if (interrupts === null) {
    return ok
      ? 'All right: armed routes took their signals, masked ones kept them. ' +
          'No guest code runs on this device, so nobody saw the interrupts: --device sim shows them.'
      : `MISMATCH: ${counts}.\ndmesg may say why; --device sim shows how it should be.`;
  }
  return ok
    ? `All right: ${signals} signals, ${interrupts} interrupts; ${counts}.`
    : `MISMATCH: ${counts}.\nThis is a bug of mshv: please report it with the output of --json.`;
}

function describeSetting({ device, partition, plan }: IrqfdReport, width: number): string {
  const { generation, architecture, vps, routes, tablePushes } = partition;
  const { signals, maskEvery, maskedBurst } = plan;
  const simulated = device.why === null ? 'simulator' : `simulator: ${device.why}`;
  const rows: [string, string][] = [
    ['Device', device.kind === 'simulator' ? simulated : device.path],
    [
      'Partition',
      `${architecture}, driver ${generation}, ${plural(vps, 'VP')}, ${plural(routes, 'route')} armed by ` +
        `${plural(tablePushes.arming, 'push', 'pushes')} of the MSI routing table, ` +
        `masked and unmasked by ${tablePushes.masking}`,
    ],
    [
      'Signals',
      maskEvery === 0
        ? `${signals} a route, none while masked`
        : `${signals} a route; ${maskEvery === 1 ? 'each interrupt' : `1 interrupt in ${maskEvery}`} ` +
          `is made of ${maskedBurst} signals sent while masked`,
    ],
  ];
  return renderTable(
    [
      { title: 'mshv irqfd', align: 'left', value: ([name]) => name },
      {
        title: 'does each signal become its interrupt?',
        align: 'left',
        wraps: true,
        value: ([, value]) => value,
      },
    ],
    rows,
    width,
  );
}

interface OutcomeRow extends Outcome {
  readonly vp: string;
  readonly gsis: string;
  readonly vectors: string;
}

const outcomeColumns: readonly Column<OutcomeRow>[] = [
  { title: 'VP', align: 'right', value: ({ vp }) => vp },
  { title: 'GSI', align: 'left', value: ({ gsis }) => gsis },
  { title: 'vector', align: 'left', isSpare: true, value: ({ vectors }) => vectors },
  { title: 'signals', align: 'right', value: ({ signals }) => signals },
  { title: 'coalesced', align: 'right', isSpare: true, value: ({ coalesced }) => coalesced },
  { title: 'interrupts', align: 'right', value: ({ interrupts }) => interrupts ?? 'unseen' },
  { title: 'lost', align: 'right', value: ({ lost }) => lost },
  { title: 'extra', align: 'right', value: ({ extra }) => extra },
];

function describeOutcomes({ routes, total }: IrqfdReport, width: number): string {
  const groups = new Map<number, RouteOutcome[]>();
  for (const route of routes) {
    const key = routes.length > routesShown ? route.vp : route.gsi;
    groups.set(key, [...(groups.get(key) ?? []), route]);
  }
  const rows = [...groups.values()].map((group) => ({
    ...sumOutcomes(group),
    vp: String(group[0]?.vp),
    gsis: range(group.map(({ gsi }) => gsi)),
    vectors: range(
      group.map(({ vector }) => vector),
      hex,
    ),
  }));
  const all = { ...total, vp: 'all', gsis: range(routes.map(({ gsi }) => gsi)), vectors: '' };
  return renderTable(outcomeColumns, [...rows, all], width);
}

function describeLatency({ p50, p90, p99, max, buckets }: LatencySummary, width: number): string {
  const barLength = Math.min(40, width - 32);
  const most = Math.max(...buckets.map(({ count }) => count));
  const plot = renderTable<LatencySummary['buckets'][number]>(
    [
      { title: 'latency', align: 'right', value: ({ from, to }) => `${time(from)} to ${time(to)}` },
      { title: 'interrupts', align: 'right', value: ({ count }) => count },
      {
        title: 'signal to injection',
        align: 'left',
        value: ({ count }) => '#'.repeat(Math.ceil((count / most) * barLength)),
      },
    ],
    buckets,
    width,
  );
  return `${plot}\n p50 ${time(p50)}, p90 ${time(p90)}, p99 ${time(p99)}, max ${time(max)}`;
}

function describeFaults({ faults }: IrqfdReport, width: number): string {
  return renderTable(
    [
      { title: 'fault', align: 'left', value: ({ kind }) => kind },
      { title: 'GSI', align: 'right', value: ({ gsi }) => gsi ?? '-' },
      { title: 'VP', align: 'right', value: ({ vp }) => vp },
      { title: 'vector', align: 'right', value: ({ vector }) => hex(vector) },
      { title: 'signals', align: 'right', value: ({ signals }) => signals },
      { title: 'first faults', align: 'left', wraps: true, value: ({ detail }) => detail },
    ],
    faults,
    width,
  );
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function range(values: readonly number[], show: (value: number) => string = String): string {
  const [first = 0] = values;
  const last = values.at(-1) ?? first;
  return first === last ? show(first) : `${show(first)}-${show(last)}`;
}

/** A time in ns with three digits. */
function time(ns: number): string {
  const [divisor, unit] =
    ns < 1e3 ? [1, 'ns'] : ns < 1e6 ? [1e3, 'us'] : ns < 1e9 ? [1e6, 'ms'] : [1e9, 's'];
  return `${Number((ns / divisor).toPrecision(3))} ${unit}`;
}
