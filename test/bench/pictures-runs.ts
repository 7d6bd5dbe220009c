// What the study on pictures runs, and what a run gives.
import { namedAfter, type Size, type StudyRun, type Training } from './study.ts';

export const MODEL = 'smollm2-135m-vision';
/** Held-out questions of each set. */
export const QUESTIONS = 200;

/** What a run is worth: of each set's held-out questions, how many are answered to the letter. */
export interface PicturesMeasurement extends Size {
  right: { of: number; right: number }[];
}

export type PicturesFinished = PicturesMeasurement & Partial<Training> & { name: string; recipe: string };

/** Each at the rate that a recipe of it has by default: nothing is chosen on these questions. */
export const METHODS = {
  'LoRA, rank 16': { name: 'lora', rank: 16 },
  'HydraLoRA, 3 heads of rank 8': { name: 'hydralora', rank: 8, heads: 3 },
  'EffiLoRA, 3 heads of rank 8, Reducer at 60 %': {
    ...{ name: 'effilora', rank: 8, heads: 3 },
    reducer: { ratio: 0.6, warmup: 40, interval: 20 },
  },
  'EffiLoRA, 1 head of rank 32, Reducer at 60 % from two thirds': {
    ...{ name: 'effilora', rank: 32, heads: 1 },
    reducer: { ratio: 0.6, warmup: 67, interval: 15 },
  },
  'rsLoRA, rank 16': { name: 'lora', rank: 16, alpha: 16, rsLora: true },
  'DoRA, rank 16': { name: 'lora', rank: 16, dora: true },
  'AdaLoRA, rank 24 to 16': { name: 'adalora', rank: 24, adalora: { targetRank: 16 } },
  'VeRA, rank 256': { name: 'vera', rank: 256 },
} as const;
export type Method = keyof typeof METHODS;
/** What is learned: the studio's example, or it and three unlike kinds beside it. */
export const DATA = ['example', 'mix'] as const;
export type Data = (typeof DATA)[number];
const SEEDS = [0, 1, 2];

export interface PicturesRun extends StudyRun {
  data: Data;
  title: Method | 'Base model';
  seed: number;
}

/** All runs, seed by seed, so that each method has as many whenever it is stopped. */
export const RUNS: PicturesRun[] = [
  ...DATA.map((data): PicturesRun => ({ name: `${data}-base`, data, title: 'Base model', seed: 0 })),
  ...SEEDS.flatMap((seed) =>
    DATA.flatMap((data) =>
      (Object.keys(METHODS) as Method[]).map((title): PicturesRun => ({
        name: `${data}-${namedAfter(title, seed)}`,
        ...{ data, title, seed, method: METHODS[title] },
      })),
    ),
  ),
];
