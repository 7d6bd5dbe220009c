import type { DropPoint } from '../../src-main/trainer/drop.ts';
import { SETS } from './quality-data.ts';
import { PEFT_RUN, RUNS, SEED_RUNS, type Measurement } from './quality-runs.ts';
import { head, millions, row, type Training } from './study.ts';

/** One finished run: a line of results.jsonl. */
export interface Finished extends Measurement, Partial<Training> {
  name: string;
  /** complete: what a finished run is known by */
  recipe: string;
}

/** A drop curve's points of every set: a line of drops.jsonl. */
export interface Drops {
  run: string;
  by: 'importance' | 'random';
  points: (DropPoint & { set: string })[];
}

/** PEFT's held-out losses on the examples of a run of ours: a line of peft.jsonl. */
export interface Peer {
  run: string;
  losses: Record<string, number>;
}

export const mean = (losses: Record<string, number>) => SETS.reduce((sum, set) => sum + losses[set]!, 0) / SETS.length;

/** Every run: the best of each title marked, losses by set, time over LoRA's, peak memory. */
export function runsTable(finished: Finished[]): string {
  const of = (name: string) => finished.find((one) => one.name === name);
  const first = RUNS.map(({ name }) => of(name)).find((one) => one?.cpuSeconds);
  const best = new Map<string, number>();
  for (const { name, title } of RUNS) {
    const one = of(name);
    if (one) best.set(title, Math.min(best.get(title) ?? Infinity, mean(one.losses)));
  }
  const lines = RUNS.flatMap(({ name, title, training }) => {
    const one = of(name);
    if (!one) return [];
    const average = mean(one.losses);
    const { learningRate } = training as { learningRate?: number };
    return row([
      title,
      learningRate?.toExponential() ?? '',
      millions(one.parameters),
      millions(one.trained),
      ...SETS.map((set) => one.losses[set]!.toFixed(3)),
      average === best.get(title) ? `**${average.toFixed(4)}**` : average.toFixed(4),
      one.cpuSeconds ? (one.cpuSeconds / first!.cpuSeconds!).toFixed(2) : '',
      one.seconds?.toFixed(0) ?? '',
      one.peakBytes ? (one.peakBytes / 2 ** 30).toFixed(1) : '',
    ]);
  });
  const columns = ['method', 'rate', 'parameters, millions', 'trained to the end', ...SETS, 'mean'];
  return [...head([...columns, 'CPU time, the first = 1', 'seconds', 'peak GiB']), ...lines].join('\n');
}

/** Mean held-out loss of each seed and over them, where all seeds are there. */
export function seedsTable(finished: Finished[]): string {
  const lines = SEED_RUNS.flatMap(({ title, learningRate, runs }) => {
    const losses = runs
      .flatMap(({ name }) => finished.find((one) => one.name === name) ?? [])
      .map((one) => mean(one.losses));
    if (losses.length < runs.length) return [];
    const average = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    return row([title, learningRate.toExponential(), ...losses.map((loss) => loss.toFixed(4)), average.toFixed(4)]);
  });
  const seeds = SEED_RUNS[0]!.runs.map((_, index) => `seed ${index}`);
  return [...head(['method', 'rate', ...seeds, 'mean']), ...lines].join('\n');
}

/** PEFT's LoRA and ours after the same examples in the same order. */
export function peftTable(finished: Finished[], peers: Peer[]): string {
  const lines = peers.flatMap(({ run, losses }) => {
    const ours = finished.find(({ name }) => name === run);
    const cells = (of: Record<string, number>) => [...SETS.map((set) => of[set]!.toFixed(3)), mean(of).toFixed(4)];
    return ours ? [row(['PEFT', ...cells(losses)]), row(['ours', ...cells(ours.losses)])] : [];
  });
  return [...head([PEFT_RUN, ...SETS, 'mean']), ...lines].join('\n');
}

/** Loss over all sets' label tokens by drop ratio, least important heads first and at random. */
export function dropsTable(drops: Drops[]): string {
  const ratios = [...new Set(drops.flatMap(({ points }) => points.map(({ ratio }) => ratio)))].sort((a, b) => a - b);
  const lines = drops.map(({ by, points }) =>
    row([
      by === 'random' ? 'at random' : 'by importance',
      ...ratios.map((ratio) => {
        const losses = points.filter((point) => point.ratio === ratio).map(({ set, loss }) => [set, loss] as const);
        return mean(Object.fromEntries(losses)).toFixed(4);
      }),
    ]),
  );
  return [...head(['heads dropped', ...ratios.map((ratio) => `${Math.round(100 * ratio)} %`)]), ...lines].join('\n');
}
