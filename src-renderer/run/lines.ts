import type { MetricsRecord } from '../../src-preload/contract/index.ts';
import type { Line } from '../charts/line.ts';
import type { RunData } from './run-data.ts';

/** The loss and its exponential mean; `smoothing` is the share that stays from step to step. */
export function lossLines(metrics: MetricsRecord[], smoothing: number): Line[] {
  const raw = metrics
    .filter((record) => typeof record.loss === 'number')
    .map((record) => ({ x: record.step, y: record.loss! }));
  let mean = 0;
  const smooth = raw.map(({ x, y }, index) => {
    mean = smoothing * mean + (1 - smoothing) * y;
    return { x, y: mean / (1 - smoothing ** (index + 1)) };
  });
  return [
    { label: 'Loss, every step', points: raw, colour: 'ember', faint: true },
    { label: 'Loss, smoothed', points: smooth, colour: 'ember' },
  ];
}

export function evalLine(metrics: MetricsRecord[]): Line[] {
  const points = metrics
    .filter((record) => typeof record.evalLoss === 'number')
    .map((record) => ({ x: record.step, y: record.evalLoss! }));
  return points.length > 0 ? [{ label: 'Held-out loss', points, colour: 'ice', dots: true }] : [];
}

export function metricLine(
  metrics: MetricsRecord[],
  key: 'learningRate' | 'gradNorm',
  label: string,
  colour: Line['colour'],
): Line {
  const points = metrics
    .filter((record) => typeof record[key] === 'number')
    .map((record) => ({ x: record.step, y: record[key]! }));
  return { label, points, colour };
}

/** One head's importance over the steps, active and frozen apart. */
export function headLines(data: RunData, head: number): Line[] {
  const active: Line['points'] = [];
  const frozen: Line['points'] = [];
  for (let frame = 0; frame < data.frames; frame += 1) {
    const at = frame * data.heads.length + head;
    const x = data.steps[frame]!;
    const y = data.importance[at]!;
    active.push({ x, y: data.frozen[at] ? NaN : y });
    frozen.push({ x, y: data.frozen[at] ? y : NaN });
  }
  return [
    { label: 'Importance while active', points: active, colour: 'ember' },
    { label: 'Importance while frozen', points: frozen, colour: 'ice' },
  ];
}
