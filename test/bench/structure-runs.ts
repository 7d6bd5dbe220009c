// What the study of structures runs, and what a run gives: docs/structure.md has its tables.
import type { MethodName } from '../../src-main/effilora/types.ts';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import type { Slice } from './quality-data.ts';
import { SEQUENCE_LENGTH, type Measurement } from './quality-runs.ts';
import type { StudyRun, Training } from './study.ts';
import { CHAT_ML, GEMMA_TURNS } from './token-files.ts';

/** The study's models, with the turns that each knows. */
export const MODELS = { 'smollm2-135m': CHAT_ML, 'gemma3-270m': GEMMA_TURNS };
export type ModelName = keyof typeof MODELS;
/** Characters of a worked problem: with longer ones a run would take twice as long, and there would be half as many. */
const LONGEST = 300;
const EXAMPLES_A_STEP = 8;

/** What a run learns from: the first rows of its training sets. */
export const DATA = {
  'math-60': { 'math-word': 60 },
  'math-200': { 'math-word': 200 },
  'math-600': { 'math-word': 600 },
  'mix-600': { 'math-word': 300, boolq: 300 },
  'arc-600': { 'arc-open': 600 },
  'three-1800': { 'math-word': 600, 'arc-open': 600, boolq: 600 },
  'three-900': { 'math-word': 300, 'arc-open': 300, boolq: 300 },
  'arc-choice-200': { 'arc-challenge': 200 },
} as const satisfies Record<string, Record<string, number>>;
export type DataName = keyof typeof DATA;

interface Measured {
  set: string;
  part: 'train' | 'test';
  from: number;
  count: number;
  /** of the longer runs */
  isLong?: boolean;
}
/** What structures are chosen by: rows of the training sets behind all that any run learns from. */
const VALIDATION: Measured[] = [
  { set: 'math-word', part: 'train', from: 600, count: 32 },
  { set: 'boolq', part: 'train', from: 600, count: 16 },
];
/** What is chosen is measured by once, at the end. */
const TEST: Measured[] = [
  { set: 'math-word', part: 'test', from: 0, count: 48 },
  { set: 'arc-open', part: 'test', from: 0, count: 60 },
  { set: 'boolq', part: 'test', from: 0, count: 32 },
  { set: 'arc-challenge', part: 'test', from: 0, count: 48 },
];

/** The same two of the longer runs, more of each; of gemma3-270m's all worked problems that there are. */
const longOf = (model: ModelName) =>
  [
    { set: 'math-word', part: 'train', from: 600, count: 64 },
    { set: 'arc-open', part: 'train', from: 600, count: 90 },
    { set: 'boolq', part: 'train', from: 600, count: 40 },
    { set: 'math-word', part: 'test', from: 0, count: model === 'gemma3-270m' ? 111 : 100 },
    { set: 'arc-open', part: 'test', from: 0, count: 120 },
    { set: 'boolq', part: 'test', from: 0, count: 60 },
  ].map((one) => ({ ...one, isLong: true }) as Measured);

const trainName = (set: string, rows: number) => `${set}-${rows}.train`;
const measuredName = ({ set, part, isLong }: Measured) =>
  `${set}.${part === 'train' ? 'validation' : 'test'}${isLong ? '-long' : ''}`;
const slice = (name: string, set: string, part: Slice['part'], from: number, count: number): Slice => {
  return { name, set, part, from, count, longest: LONGEST };
};

/** Every file of tokens that the study takes of a model. */
export const slicesOf = (model: ModelName): Slice[] => [
  ...new Map(
    Object.values(DATA)
      .flatMap((sets) => Object.entries(sets) as [string, number][])
      .map(([set, rows]) => [trainName(set, rows), slice(trainName(set, rows), set, 'train', 0, rows)]),
  ).values(),
  ...[...VALIDATION, ...TEST, ...longOf(model)].map((one) =>
    slice(measuredName(one), one.set, one.part, one.from, one.count),
  ),
];
/** The files that a run is measured by; with `validation` those that choices are made by, of a run measured on both. */
export function measuredBy({ data, model, isFinal, isLong }: StructureRun, validation = !isFinal): string[] {
  const measured = isLong
    ? longOf(model).filter(({ part }) => (part === 'train') === validation)
    : validation
      ? VALIDATION
      : TEST;
  return measured.filter(({ set }) => set in DATA[data]).map(measuredName);
}

export interface StructureRun extends StudyRun {
  /** the row of the table it is of */
  title: string;
  data: DataName;
  /** measured on the test sets */
  isFinal: boolean;
  /** of a hundred steps: measured on more of the test sets, and on validation rows, too */
  isLong?: boolean;
  model: ModelName;
  method: object;
  training: { steps: number; learningRate: number; seed: number } & Record<string, unknown>;
}

export type StructureFinished = Measurement &
  Partial<Training> & {
    name: string;
    recipe: string;
    /** losses of a long run on validation rows, by set */
    validation?: Record<string, number>;
  };

export const ALL_SITES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
export const without = (...sites: string[]) => ALL_SITES.filter((site) => !sites.includes(site));

/** How structures are told: what is left out is as a recipe has it. */
export interface Structure {
  heads: number;
  rank: number;
  targets?: string[];
  ratio?: number;
  /** share of the steps before the first selection */
  from?: number;
  [option: string]: unknown;
}

function effilora({ ratio = 0, from = 0.5, reducer = {}, ...structure }: Structure, steps: number): object {
  const warmup = Math.max(1, Math.round(from * steps));
  const interval = Math.max(1, Math.round(0.15 * steps));
  return { name: 'effilora', ...structure, reducer: { ratio, warmup, interval, ...(reducer as object) } };
}

interface Group {
  data: DataName;
  steps: number;
  isFinal?: boolean;
  isLong?: boolean;
  model?: ModelName;
}

/** Runs of one group: its name's part and the table's row, a rate, a structure, seeds. */
export const groupOf =
  ({ data, steps, isFinal = false, isLong = false, model = 'smollm2-135m' }: Group) =>
  (
    key: string,
    title: string,
    rate: number,
    of: Structure | { lora: number } | { name: MethodName; rank: number; [option: string]: unknown },
    seeds = [0],
    training: object = {},
  ): StructureRun[] =>
    seeds.map((seed) => ({
      name: `${model === 'gemma3-270m' ? 'gemma-' : ''}${isFinal ? 'final-' : ''}${data}-${steps}-${key}-${rate}-seed${seed}`,
      ...{ title, data, isFinal, isLong, model },
      method: 'lora' in of ? { name: 'lora', rank: of.lora } : 'name' in of ? of : effilora(of as Structure, steps),
      training: { steps, learningRate: rate, seed, ...training },
    }));

/** A run's recipe, complete; `at`: where the tokens lie. */
export function recipeOf({ data, model, method, training }: StructureRun, at: (name: string) => string): string {
  const steps = { batch: EXAMPLES_A_STEP, sequenceLength: SEQUENCE_LENGTH, evalSplit: 0, samples: 0 };
  const dataset = Object.entries(DATA[data]).map(([set, rows]) => ({
    path: at(`${trainName(set, rows as number)}.jsonl`),
  }));
  // Products in integers: the quickest here, on both sides alike.
  const recipe = { model, dataset, method, training: { ...steps, precision: 'int8', ...training } };
  return formatRecipe(parseRecipe(JSON.stringify(recipe), 'the study'));
}
