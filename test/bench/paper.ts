// npm run paper -- LORA_RUN EFFILORA_RUN TEST,TEST,...: the paper's figures in small, from finished runs of SmolLM2-135M: how alike the layers of
// a trained LoRA are (why A can be shared), and the loss as heads are left out, the least important first and at random (Figures 2 and 5).
// Writes docs/images/layers.svg and docs/images/drops.svg; what was measured is kept in runs/paper and not measured again.
import fs from 'node:fs/promises';
import path from 'node:path';
import { layerOverlaps, type Overlaps } from './layer-overlap.ts';
import { figure, type Chart, type Line } from './line-chart.ts';
import type { Drops } from './paper-drops.ts';
import { head, programLines, row, Study } from './study.ts';

const [lora, effilora, tests] = process.argv.slice(2);
if (!lora || !effilora || !tests) {
  console.error('Say which runs and data: npm run paper -- LORA_RUN EFFILORA_RUN TEST.jsonl,TEST.jsonl');
  process.exit(2);
}
const study = new Study('runs/paper');
const images = path.resolve('docs/images');

/** What a file of the study keeps, measured where it isn't there. */
async function kept<T extends object>(name: string, measure: () => Promise<T[]>): Promise<T[]> {
  const before = await study.read<T>(name);
  if (before.length > 0) return before;
  const found = await measure();
  for (const line of found) await study.append(name, line);
  return found;
}

const LABELS: Record<Overlaps['kind'], string> = {
  change: 'what A learned',
  B: 'B',
  A: 'A as it ended',
  'chance of A': 'A by chance',
  'chance of B': 'B by chance',
};
const overlaps = await kept('layers.jsonl', () => layerOverlaps(lora));
const layers: Chart = {
  ...{ title: 'How much layers have in common', x: 'Layers apart', y: 'Overlap of their spaces', fromZero: true },
  lines: (Object.keys(LABELS) as Overlaps['kind'][]).map((kind): Line => ({
    label: LABELS[kind],
    dashed: kind.startsWith('chance'),
    points: overlaps.find((one) => one.kind === kind)!.points.map(({ distance, overlap }) => ({ x: distance, y: overlap })), // prettier-ignore
  })),
};
const drops = await kept<Drops>('drops.jsonl', () => programLines('./paper-drops.ts', [effilora, tests]));
const charts = drops.map(({ set, curves }): Chart => ({
  ...{ title: set, x: 'Share of heads left out', y: 'Held-out loss' },
  lines: curves.map(({ by, points }) => ({
    label: by === 'importance' ? 'least important first' : by,
    dashed: by !== 'importance',
    points: points.map(({ ratio, loss }) => ({ x: ratio, y: loss })),
  })),
}));
await fs.mkdir(images, { recursive: true });
await fs.writeFile(path.join(images, 'layers.svg'), figure([layers]));
await fs.writeFile(path.join(images, 'drops.svg'), figure(charts));

const distances = [1, 2, 5, 10, 20];
const at = (kind: Overlaps['kind'], wanted: number) =>
  overlaps
    .find((one) => one.kind === kind)!
    .points.find(({ distance }) => distance === wanted)
    ?.overlap.toFixed(3) ?? '';
const ratios = drops[0]!.curves[0]!.points.map(({ ratio }) => ratio);
console.log(
  [
    ...head(['layers apart', ...distances.map(String)]),
    ...(Object.keys(LABELS) as Overlaps['kind'][]).map((kind) =>
      row([LABELS[kind], ...distances.map((distance) => at(kind, distance))]),
    ),
    '',
    ...head(['heads left out', '', ...ratios.map((ratio) => `${Math.round(100 * ratio)} %`)]),
    ...drops.flatMap(({ set, curves }) =>
      curves.map(({ by, points }) => row([set, by, ...points.map(({ loss }) => loss.toFixed(3))])),
    ),
  ].join('\n'),
);
