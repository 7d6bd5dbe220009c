// What the commonsense table runs, and what a run gives.
import type { SetName } from './commonsense-data.ts';
import type { Size, StudyRun, Training } from './study.ts';

export const MODEL = 'smollm2-135m';

/** Of each set: questions answered right, and the mean loss of the right answers' tokens. */
export interface CommonsenseMeasurement extends Size {
  right: Record<string, number>;
  asked: Record<string, number>;
  losses: Record<string, number>;
}

export type CommonsenseFinished = CommonsenseMeasurement & Partial<Training> & { name: string; recipe: string };

export interface CommonsenseRun extends StudyRun {
  title: string;
  /** what it learns from */
  sets: SetName[];
  /** of the base model, which learns nothing, none */
  rate?: number;
  seed: number;
}

const ALL: SetName[] = ['arc-easy', 'arc-challenge', 'boolq'];
const ONE: SetName[] = ['arc-challenge'];
const STEPS = 120;
const STEPS_OF_ALL = { steps: STEPS, batch: 16, sequenceLength: 256, evalSplit: 0, samples: 0, precision: 'int8', schedule: 'linear' }; // prettier-ignore
const late = { ratio: 0.6, warmup: STEPS / 2, interval: STEPS / 10 };

/** On all sites, each at the best of its rates on validation rows of the study of structures (docs/structure.md, Rates of other methods). */
const METHODS: { name: string; title: string; rate: number; method: object }[] = [
  { name: 'lora', title: 'LoRA, rank 16', rate: 0.002, method: { name: 'lora', rank: 16 } },
  {
    name: 'rslora',
    title: 'rsLoRA, rank 16',
    rate: 0.001,
    method: { name: 'lora', rank: 16, alpha: 16, rsLora: true },
  },
  { name: 'dora', title: 'DoRA, rank 16', rate: 0.002, method: { name: 'lora', rank: 16, dora: true } },
  {
    name: 'hydralora',
    title: 'HydraLoRA, 3 heads of rank 8',
    rate: 0.002,
    method: { name: 'hydralora', rank: 8, heads: 3 },
  },
  {
    name: 'adalora',
    title: 'AdaLoRA, rank 24 to 16',
    rate: 0.008,
    method: { name: 'adalora', rank: 24, adalora: { targetRank: 16 } },
  },
  { name: 'vera', title: 'VeRA, rank 256', rate: 0.04, method: { name: 'vera', rank: 256 } },
  { name: 'effilora', title: 'EffiLoRA, 3 heads of rank 8, Reducer at 60 %', rate: 0.002, method: { name: 'effilora', rank: 8, heads: 3, reducer: late } }, // prettier-ignore
  { name: 'effilora-one', title: 'EffiLoRA, 1 head of rank 32, Reducer at 60 %', rate: 0.002, method: { name: 'effilora', rank: 32, heads: 1, reducer: late } }, // prettier-ignore
];

const SEEDS = [0, 1, 2];
/** What one set alone teaches, against the mix (the paper's Figure 3). */
const ALONE = ['lora', 'effilora', 'effilora-one'];

/** Seed by seed, so that each method has as many whenever it is stopped. */
export const RUNS: CommonsenseRun[] = [
  { name: 'base', title: 'Base model', sets: ALL, seed: 0 },
  ...SEEDS.flatMap((seed) => [
    ...METHODS.map((run) => ({ ...run, name: `${run.name}-seed${seed}`, sets: ALL, seed })),
    ...METHODS.filter(({ name }) => ALONE.includes(name)).map((run) => ({
      ...run,
      ...{ name: `${run.name}-alone-seed${seed}`, title: `${run.title}, ${ONE.join()} alone`, sets: ONE, seed },
    })),
  ]),
];

/** The same steps for all. @param files one a set */
export const recipeOf = ({ method, rate, seed }: CommonsenseRun, files: string[]): object => ({
  model: MODEL,
  dataset: files.map((file) => ({ path: file })),
  method,
  training: { ...STEPS_OF_ALL, learningRate: rate, seed },
});
