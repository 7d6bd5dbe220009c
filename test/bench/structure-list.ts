// The study's runs, in the order in which they say most.
import { groupOf, without, type DataName, type Structure, type StructureRun } from './structure-runs.ts';

const mix = groupOf({ data: 'mix-600', steps: 32 });
const small = groupOf({ data: 'math-60', steps: 24 });
const FIXED: Structure = { heads: 3, rank: 8, ratio: 0.6, from: 0.4 };

const LATE: Structure = { heads: 1, rank: 32, ratio: 0.6, from: 0.67 };
const FIXED_TITLE = '3 heads of rank 8, Reducer at 60 %';
const PREFIX: Structure = { ...LATE, reducer: { policy: 'prefix' } };
const PROPOSED = '1 head of rank 32, Reducer at 60 % from two thirds (proposed)';

const HYDRALORA = { name: 'hydralora', rank: 8, heads: 3 } as const;
const RSLORA = { name: 'lora', rank: 16, alpha: 16, rsLora: true } as const;
const ADALORA = { name: 'adalora', rank: 24, adalora: { targetRank: 16 } } as const;

const three = groupOf({ data: 'three-900', steps: 40, isFinal: true });
const math = groupOf({ data: 'math-600', steps: 40, isFinal: true });
const arc = groupOf({ data: 'arc-600', steps: 40, isFinal: true });
const choice = groupOf({ data: 'arc-choice-200', steps: 25, isFinal: true });
/** What follows from the study, LoRA at its best rate, and the fixed default: on data that nothing was chosen on. */
const FINAL: StructureRun[] = [
  ...three('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...three('proposed', PROPOSED, 2e-3, LATE),
  ...three('fixed', FIXED_TITLE, 2e-3, FIXED),
  ...math('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...math('proposed', PROPOSED, 2e-3, LATE),
  ...arc('fixed', FIXED_TITLE, 2e-3, FIXED),
  ...arc('proposed', PROPOSED, 2e-3, LATE),
  ...choice('fixed', FIXED_TITLE, 2e-3, FIXED),
  ...choice('proposed', PROPOSED, 2e-3, LATE),
  ...three('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }, [1]),
  ...three('proposed', PROPOSED, 2e-3, LATE, [1]),
  ...math('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }, [1]),
  ...math('proposed', PROPOSED, 2e-3, LATE, [1]),
];

/** Why what follows from the study does not end below LoRA on the mean of three sets. */
const WHY: StructureRun[] = [
  ...three('n1r32', '1 head of rank 32', 2e-3, { heads: 1, rank: 32 }),
  ...mix('lora', 'LoRA, rank 16', 5e-4, { lora: 16 }),
  ...three('lora', 'LoRA, rank 16', 2e-3, { lora: 16 }),
  ...arc('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
];

const long = groupOf({ data: 'three-1800', steps: 100, isFinal: true, isLong: true });
const SEEDS = [0, 1, 2];
/** The three kinds again, longer: LoRA at the best of its rates by validation rows, what follows from the study, the fixed default. */
const LONG_RUNS: StructureRun[] = [
  ...long('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...long('proposed', PROPOSED, 2e-3, LATE),
  ...long('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }, SEEDS.slice(1)),
  ...long('lora', 'LoRA, rank 16', 5e-4, { lora: 16 }),
  ...long('lora', 'LoRA, rank 16', 2e-3, { lora: 16 }, SEEDS),
  ...long('lora', 'LoRA, rank 16', 4e-3, { lora: 16 }),
  ...long('n1r32', '1 head of rank 32', 2e-3, { heads: 1, rank: 32 }),
  ...long('proposed', PROPOSED, 2e-3, LATE, SEEDS.slice(1)),
  ...long('fixed', FIXED_TITLE, 2e-3, FIXED, SEEDS),
  ...long('prefix', '1 head of rank 32, whole layers first (prefix) at 60 % from two thirds', 2e-3, PREFIX, SEEDS),
  ...long('proposed-f32', '1 head of rank 32, Reducer at 60 % from two thirds, products in f32', 2e-3, LATE, SEEDS, {
    precision: 'f32',
  }),
  // Lines of the others in integers are from when the vocabulary's head was still in f32.
  ...long(
    'proposed-head',
    '1 head of rank 32, Reducer at 60 % from two thirds, the head in integers',
    2e-3,
    LATE,
    SEEDS,
  ),
];

/** The fixed default and what follows from the study again, by other seeds. */
const SEED_RUNS: StructureRun[] = [
  ...three('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }, [2]),
  ...three('lora', 'LoRA, rank 16', 2e-3, { lora: 16 }, [1, 2]),
  ...three('proposed', PROPOSED, 2e-3, LATE, [2]),
  ...math('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }, [2]),
  ...math('proposed', PROPOSED, 2e-3, LATE, [2]),
  ...[1, 2].flatMap((seed) => [
    ...arc('fixed', FIXED_TITLE, 2e-3, FIXED, [seed]),
    ...arc('proposed', PROPOSED, 2e-3, LATE, [seed]),
    ...choice('fixed', FIXED_TITLE, 2e-3, FIXED, [seed]),
    ...choice('proposed', PROPOSED, 2e-3, LATE, [seed]),
    ...three('fixed', FIXED_TITLE, 2e-3, FIXED, [seed]),
  ]),
];

/** How often examples are seen, once to twelve times. */
const ofRows = (data: DataName, steps: number, rate: number) =>
  groupOf({ data, steps })('n1r32', '1 head of rank 32', rate, { heads: 1, rank: 32 });
const PASSES: StructureRun[] = [
  ...[8, 48, 96].flatMap((steps) => ofRows('math-60', steps, 1e-3)),
  ...[25, 75, 150].flatMap((steps) => ofRows('math-200', steps, 2e-3)),
];

/** What else may be chosen, one thing at a time. */
const OTHERS: StructureRun[] = [
  ...mix('n1r32-60-sample', '1 head of rank 32, Reducer at 60 % from two thirds, drawn (sample)', 2e-3, {
    ...LATE,
    reducer: { policy: 'sample' },
  }),
  ...mix('n1r32-60-prefix', '1 head of rank 32, Reducer at 60 % from two thirds, whole layers (prefix)', 2e-3, PREFIX),
  ...mix('n4r8', '4 heads of rank 8', 2e-3, { heads: 4, rank: 8 }),
  ...mix('n8r4', '8 heads of rank 4', 2e-3, { heads: 8, rank: 4 }),
  ...mix('n1r8', '1 head of rank 8', 2e-3, { heads: 1, rank: 8 }),
  ...mix('n1r4', '1 head of rank 4', 2e-3, { heads: 1, rank: 4 }),
  ...mix('n2r16', '2 heads of rank 16', 2e-3, { heads: 2, rank: 16 }),
  ...mix('n2r16-layer', '2 heads of rank 16, a router a layer', 2e-3, { heads: 2, rank: 16, router: 'layer' }),
  ...mix('n1r32-decay', '1 head of rank 32, weight decay 0.1', 2e-3, { heads: 1, rank: 32 }, [0], { weightDecay: 0.1 }),
];

/** At which rate the other methods learn: docs/paper.md compares them at their best. */
const RATES: StructureRun[] = [
  ...[1e-3, 2e-3].flatMap((rate) => mix('hydralora', 'HydraLoRA, 3 heads of rank 8', rate, HYDRALORA)),
  ...[1e-3, 2e-3].flatMap((rate) => mix('rslora', 'rsLoRA, rank 16', rate, RSLORA)),
  ...[1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2].flatMap((rate) => mix('adalora', 'AdaLoRA, rank 24 to 16', rate, ADALORA)),
  ...[4e-3, 1e-2, 2e-2, 4e-2].flatMap((rate) => mix('vera', 'VeRA, rank 256', rate, { name: 'vera', rank: 256 })),
];

const gemma = { steps: 40, isFinal: true, model: 'gemma3-270m' } as const;
const gemmaMath = groupOf({ ...gemma, data: 'math-600', isLong: true });
const gemmaThree = groupOf({ ...gemma, data: 'three-900' });
/** The same on another model. */
const GEMMA: StructureRun[] = [
  ...[1e-3, 5e-4].flatMap((rate) => [
    ...gemmaMath('lora', 'LoRA, rank 16', rate, { lora: 16 }),
    ...gemmaMath('proposed', PROPOSED, rate, LATE),
  ]),
  ...gemmaMath('proposed', PROPOSED, 2e-3, LATE),
  ...gemmaThree('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...gemmaThree('proposed', PROPOSED, 2e-3, LATE),
  ...gemmaThree('proposed', PROPOSED, 1e-3, LATE),
  ...gemmaThree('lora', 'LoRA, rank 16', 5e-4, { lora: 16 }),
  ...gemmaThree('proposed', PROPOSED, 5e-4, LATE),
];

/** In the order in which they say most, so that the study may be stopped at any time. */
export const RUNS: StructureRun[] = [
  ...mix('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...mix('fixed', FIXED_TITLE, 2e-3, FIXED),
  ...mix('n1r16', '1 head of rank 16', 2e-3, { heads: 1, rank: 16 }),
  ...mix('n1r16', '1 head of rank 16', 4e-3, { heads: 1, rank: 16 }),
  ...mix('n1r32', '1 head of rank 32', 2e-3, { heads: 1, rank: 32 }),
  ...mix('n2r16-nogate', '2 heads of rank 16, without gate', 2e-3, {
    heads: 2,
    rank: 16,
    targets: without('gate_proj'),
  }),
  ...mix('n2r16-nogateup', '2 heads of rank 16, without gate and up', 2e-3, {
    heads: 2,
    rank: 16,
    targets: without('gate_proj', 'up_proj'),
  }),
  ...mix('lora', 'LoRA, rank 16', 2e-3, { lora: 16 }),
  ...mix('n1r32-70', '1 head of rank 32, Reducer at 70 % from the middle', 2e-3, { heads: 1, rank: 32, ratio: 0.7 }),
  ...small('n1r32', '1 head of rank 32', 2e-3, { heads: 1, rank: 32 }),
  ...small('lora', 'LoRA, rank 16', 1e-3, { lora: 16 }),
  ...mix('n1r32-40', '1 head of rank 32, Reducer at 40 % from the middle', 2e-3, { heads: 1, rank: 32, ratio: 0.4 }),
  ...small('n1r32', '1 head of rank 32', 1e-3, { heads: 1, rank: 32 }),
  ...small('n1r32-dropout', '1 head of rank 32, dropout 0.1', 2e-3, { heads: 1, rank: 32, dropout: 0.1 }),
  ...mix('n1r32-60-late', '1 head of rank 32, Reducer at 60 % from two thirds', 2e-3, LATE),
  ...mix('n1r32', '1 head of rank 32', 1e-3, { heads: 1, rank: 32 }),
  ...FINAL,
  ...LONG_RUNS,
  ...SEED_RUNS,
  ...PASSES,
  ...OTHERS,
  ...RATES,
  ...GEMMA,
  ...WHY,
  ...small('fixed', FIXED_TITLE, 2e-3, FIXED),
  ...mix('n1r64', '1 head of rank 64', 1e-3, { heads: 1, rank: 64 }),
  ...small('clusters', '7 heads of rank 16, Reducer at 60 % from a fifth (proposed before)', 2e-3, {
    heads: 7,
    rank: 16,
    ratio: 0.6,
    from: 0.2,
  }),
  ...mix('n1r32-module', '1 head of rank 32, an A for each kind of site', 2e-3, {
    heads: 1,
    rank: 32,
    share: 'module',
  }),
];
