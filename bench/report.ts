import type { Line } from './line.js';

const nameWidth = 36;

/** The lines as a table, each with its baseline below it. */
export function table(lines: readonly Line[]): string {
  const rows = lines.flatMap((line) => [
    [
      line.name.padEnd(nameWidth),
      duration(line.ours).padStart(8),
      duration(line.baseline).padStart(8),
      ratio(line.ratio.median).padStart(5),
      ` ${ratio(line.ratio.min)}..${ratio(line.ratio.max)}`.padEnd(12),
      verdict(line),
    ].join(' '),
    `  against ${line.against}`,
    ...(line.counts ? [`  ${counts(line.counts)}`] : []),
    ...(line.note === undefined ? [] : [`  ${line.note}`]),
  ]);
  const heading = `${' '.repeat(nameWidth)}     ours baseline ratio  min..max`;
  return [heading, ...rows].join('\n');
}

function duration(ns: number): string {
  const [value, unit] = ns < 1e3 ? [ns, 'ns'] : ns < 1e6 ? [ns / 1e3, 'us'] : [ns / 1e6, 'ms'];
  return `${value.toPrecision(3)} ${unit}`;
}

function ratio(value: number): string {
  return value < 0.1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value.toFixed(0);
}

function verdict({ goal, extra, limit, ours, baseline, ratio: { median } }: Line): string {
  if (limit !== undefined) {
    return `goal ${limit} ns ${ours <= limit ? 'met' : 'missed'}`;
  }
  if (extra !== undefined) {
    const over = ours - baseline;
    return `${over.toFixed(0)} ns over, goal ${extra} ${over <= extra ? 'met' : 'missed'}`;
  }
  if (goal !== undefined) {
    return `goal ${goal.toFixed(2)} ${median <= goal ? 'met' : 'missed'}`;
  }
  return median < 1 ? `${(1 / median).toFixed(1)}x faster` : '';
}

function counts({ ours, baseline }: NonNullable<Line['counts']>): string {
  return (
    `ioctls ${ours.ioctls} against ${baseline.ioctls}, ` +
    `table entries ${ours.entries} against ${baseline.entries}`
  );
}
