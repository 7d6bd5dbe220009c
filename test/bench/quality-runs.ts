// What the quality benchmark runs, and what a run gives.
import type { Size, StudyRun } from './study.ts';

export const MODEL = 'smollm2-135m';
export const SEQUENCE_LENGTH = 256;

/** What a run is worth. */
export interface Measurement extends Size {
  /** mean held-out loss over the label tokens, by set */
  losses: Record<string, number>;
}

export interface QualityRun extends StudyRun {
  /** the row of the table it is of */
  title: string;
  training: object;
}

/** Every method is worth its best of these. */
const RATES = [5e-4, 1e-3, 2e-3];

const reduced = (ratio: number) => ({ ...EFFILORA, reducer: { ratio, warmup: 40, interval: 20 } });
const EFFILORA = { name: 'effilora', rank: 8, heads: 3 };
const METHODS: { name: string; title: string; method: object }[] = [
  { name: 'lora', title: 'LoRA, rank 16', method: { name: 'lora', rank: 16 } },
  { name: 'hydralora', title: 'HydraLoRA, 3 heads of rank 8', method: { name: 'hydralora', rank: 8, heads: 3 } },
  { name: 'effilora', title: 'EffiLoRA, 3 heads of rank 8', method: EFFILORA },
  ...[30, 60, 80].map((percent) => ({
    name: `effilora-${percent}`,
    title: `EffiLoRA, Reducer at ${percent} %`,
    method: reduced(percent / 100),
  })),
];

/** The two that are compared over several seeds: start values and order of the examples. */
const COMPARED = ['lora', 'effilora-60'];
const SEEDS = [0, 1, 2];
/** Beyond `RATES`: what shows that the best of them is no end of the range. */
const BEYOND: Record<string, number> = { lora: 2.5e-4, 'effilora-60': 4e-3 };

export const RUNS: QualityRun[] = [
  { name: 'base', title: 'Base model', training: {} },
  ...METHODS.flatMap(({ name, title, method }) =>
    [...RATES, ...(BEYOND[name] ? [BEYOND[name]] : [])].map((learningRate) => ({
      name: `${name}-${learningRate}`,
      title,
      method,
      training: { learningRate },
    })),
  ),
  {
    name: 'effilora-60-f32',
    title: 'EffiLoRA, Reducer at 60 %, all in f32',
    method: reduced(0.6),
    training: { learningRate: 2e-3, precision: 'f32' },
  },
  {
    name: 'effilora-60-module',
    title: 'EffiLoRA, Reducer at 60 %, an A for each kind of site',
    method: { ...reduced(0.6), share: 'module' },
    training: { learningRate: 2e-3 },
  },
];

/** What products in integers cost in held-out loss, if anything, over the seeds. */
const PRODUCTS_RUNS = ['f32', 'int8'].map((precision) => ({
  title: `EffiLoRA, Reducer at 60 %, products in ${precision}`,
  learningRate: 2e-3,
  runs: SEEDS.map((seed): QualityRun => {
    const name = `effilora-60-${precision}${seed === 0 ? '' : `-seed${seed}`}`;
    const training = { learningRate: 2e-3, precision, ...(seed === 0 ? {} : { seed }) };
    return { name, title: '', method: reduced(0.6), training };
  }),
}));

/** One method at one rate, over the seeds. */
const METHOD_RUNS = METHODS.filter(({ name }) => COMPARED.includes(name)).flatMap(({ name, title, method }) =>
  RATES.map((learningRate) => ({
    title,
    learningRate,
    runs: SEEDS.map((seed): QualityRun => {
      const run = { name: `${name}-${learningRate}`, title, method, training: { learningRate } };
      return seed === 0 ? run : { ...run, name: `${run.name}-seed${seed}`, training: { learningRate, seed } };
    }),
  })),
);

export const SEED_RUNS = [...METHOD_RUNS, ...PRODUCTS_RUNS];

/** Whose heads are dropped: by importance and at random. */
export const DROP_RUN = 'effilora-60-0.001';

/** What PEFT's LoRA runs beside, on the same examples in the same order. */
export const PEFT_RUN = 'lora-0.001';
