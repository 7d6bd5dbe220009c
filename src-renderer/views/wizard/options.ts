import { METHOD_NAMES, SAMPLERS } from '../../../src-preload/contract/choices.ts';
import type { Term } from '../../components/terms.ts';
import { typedNumber, writtenNumber } from '../../typed-number.ts';

/** One option of a recipe as the expert panel shows it. What is left empty is planned, or has the trainer's default. */
export type Option = { key: string; label: string; hint?: string; term?: Term } &
  /** `canBeOff`: beside a number it takes false, which is shown and typed as "off" */
  (
    | { kind: 'number'; min: number; max: number; step: number | 'any'; canBeOff?: boolean }
    /** shown as 0 to 100, held as 0 to 1 */
    | { kind: 'percent'; min: number; max: number }
    /** `words`: what the values are called on the page */
    | { kind: 'choice'; values: readonly string[]; words?: Readonly<Record<string, string>> }
    | { kind: 'switch' }
    | { kind: 'sites' }
  );

const number = (key: string, label: string, min: number, max: number, step: number | 'any' = 1, hint?: string) =>
  ({ kind: 'number', key, label, min, max, step, hint }) as const;
const choice = (key: string, label: string, values: readonly string[], hint?: string) =>
  ({ kind: 'choice', key, label, values, hint }) as const;
const percent = (key: string, label: string, max: number, hint?: string) =>
  ({ kind: 'percent', key, label, min: 0, max, hint }) as const;
const onOff = (key: string, label: string, hint?: string) => ({ kind: 'switch', key, label, hint }) as const;

export const SITES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

/** What becomes of a part that sees, with the recipe's own word for it. */
const LEARNING = {
  frozen: 'stays as it is (frozen)',
  adapted: 'learns with heads (adapted)',
  whole: 'learns as a whole (whole)',
};

/** Every option of a recipe, by what it is about. `forPictures`: of models alone that take them. */
export const GROUPS: { title: string; options: Option[]; forPictures?: boolean; forPainters?: boolean }[] = [
  {
    title: 'Structure',
    options: [
      choice('method.name', 'Method', METHOD_NAMES),
      { ...number('method.rank', 'Rank', 1, 1024), term: 'rank' },
      { ...number('method.heads', 'Heads a site', 1, 16), term: 'head' },
      number('method.alpha', 'Alpha', 0.1, 1024, 'any', 'scale = alpha / rank'),
      choice('method.share', 'A is shared', ['global', 'module'], 'by input width, or by site name'),
      { ...choice('method.router', 'A router for each', ['site', 'layer']), term: 'router' },
      percent('method.dropout', 'Dropout before A', 95),
      onOff('method.rsLora', 'rsLoRA scaling'),
      onOff('method.dora', 'DoRA'),
      number('method.vera.dInitial', 'Start of what weighs the rows of A', 0.0001, 100, 'any'),
      number('method.adalora.targetRank', 'Mean rank at the end', 1, 1023),
      number('method.adalora.tInit', 'Steps before ranks are chosen', 0, 1_000_000),
      number('method.adalora.tFinal', 'Last steps with the ranks as they are', 0, 1_000_000),
      number('method.adalora.deltaT', 'Steps between choices of ranks', 1, 1_000_000),
      { kind: 'sites', key: 'method.targets', label: 'Adapted sites' },
    ],
  },
  {
    title: 'What sees pictures',
    forPictures: true,
    options: [
      {
        ...choice('method.vision.tower', 'What looks at a picture', ['frozen', 'adapted']),
        words: LEARNING,
        term: 'tower',
      },
      {
        ...choice('method.vision.connector', 'What hands it on', ['frozen', 'adapted', 'whole']),
        ...{ words: LEARNING, term: 'connector' },
      },
      number('training.rateOfConnector', 'Learning rate of what learns as a whole, over the rest', 0.0001, 100, 'any'),
    ],
  },
  {
    title: 'Pictures that are learned and painted',
    forPainters: true,
    options: [
      {
        ...choice('method.diffusion.textEncoder', 'What reads the captions', ['frozen', 'adapted']),
        words: LEARNING,
      },
      onOff('training.diffusion.shapes', 'Pictures keep their shapes', 'else all are cut square'),
      choice('training.diffusion.crop', 'Where a picture is cut', ['center', 'random']),
      percent('training.diffusion.captionDropout', 'Seen without its caption', 100),
      number('training.diffusion.keepTags', 'First tags that stay in their places', 0, 100),
      { ...number('training.diffusion.minSnr', 'Min-SNR gamma', 0.1, 1000, 'any', 'or off'), canBeOff: true },
      number('training.diffusion.noiseOffset', 'Noise offset', 0, 1, 'any'),
      choice('training.diffusion.times', 'How times are drawn', ['uniform', 'logit-normal']),
      choice('training.diffusion.sampling.sampler', 'Sampler', SAMPLERS),
      number('training.diffusion.sampling.steps', 'Steps of a painted picture', 1, 500),
      number('training.diffusion.sampling.guidance', 'Guidance', 0, 100, 'any', '1 = none'),
      number('training.diffusion.sampling.seed', 'Seed of the first painted picture', 0, 2 ** 31),
    ],
  },
  {
    title: 'Reducer',
    options: [
      { ...percent('method.reducer.ratio', 'Share of frozen heads', 95), term: 'reducer' },
      number('method.reducer.warmup', 'First selection after, steps', 1, 1_000_000),
      number('method.reducer.interval', 'Steps between selections', 1, 1_000_000),
      number('method.reducer.beta', 'Smoothing of importance', 0, 1, 'any'),
      choice(
        'method.reducer.policy',
        'Policy',
        ['topk', 'sample', 'prefix'],
        'prefix freezes whole layers from the bottom, which saves time',
      ),
      number('method.reducer.importanceAtMost', 'Most importance in whole frozen layers', 0, 1, 'any'),
      number('method.reducer.temperature', 'Temperature of sampling', 0.01, 100, 'any'),
      choice('method.reducer.schedule', 'Schedule', ['step', 'cubic']),
      number('method.reducer.finalStep', 'Full ratio at step', 1, 1_000_000),
      onOff('method.reducer.probe', 'Observe frozen heads', 'so that they can come back'),
      number('method.reducer.minActivePerSite', 'Active heads a site at least', 0, 16),
      number('method.reducer.tolerance', 'Undo above this rise of held-out loss', 0.0001, 10, 'any'),
      number('method.reducer.maxParameters', 'Numbers that train at most', 1, 1e12, 1, 'heads freeze until it is kept'),
      number(
        'method.reducer.maxStepSeconds',
        'Seconds a step at most',
        0.001,
        10_000,
        'any',
        'where layers freeze whole (prefix)',
      ),
    ],
  },
  {
    title: 'Training',
    options: [
      number('training.steps', 'Steps', 1, 1_000_000),
      number('training.batch', 'Examples at once', 1, 256),
      number('training.accumulate', 'Micro-batches a step', 1, 256),
      number('training.sequenceLength', 'Sequence length, tokens', 16, 131_072),
      onOff('training.packing', 'Pack short examples into a row'),
      number('training.learningRate', 'Learning rate', 0.0000001, 1, 'any'),
      number('training.rateOfB', 'Learning rate of B over the rest', 0.01, 100, 'any'),
      choice('training.schedule', 'Learning rate over time', ['constant', 'linear', 'cosine']),
      number('training.warmupSteps', 'Warm-up steps', 0, 100_000),
      number('training.weightDecay', 'Weight decay', 0, 1, 'any'),
      number('training.clipNorm', 'Clip gradients at norm', 0, 1000, 'any', '0 = off'),
      choice('engine', 'Engine', ['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu'], 'else as the settings say'),
      choice('training.precision', 'Products in', ['f32', 'bf16', 'int8'], 'int8: the frozen weights’ as integers'),
      choice('training.weights', 'Frozen weights in', ['auto', 'f32', 'bf16', 'int8', 'int4']),
      onOff('training.recompute', 'Recompute blocks in backward', 'less memory, more time'),
      onOff('training.shuffle', 'Shuffle'),
      number('training.seed', 'Seed', 0, 2 ** 31),
    ],
  },
  {
    title: 'Judging and keeping',
    options: [
      {
        ...number('training.evalSplit', 'Held out', 0, 100_000, 'any', 'a share below 1, or a number of examples'),
        term: 'held-out',
      },
      number('training.evalEvery', 'Steps between evaluations', 1, 1_000_000),
      number('training.samples', 'Sample answers at each', 0, 32),
      number('training.patience', 'Stop after evaluations without gain', 0, 1000, 1, '0 = off'),
      number('training.checkpointEvery', 'Steps between checkpoints', 1, 1_000_000),
      number('training.keepCheckpoints', 'Checkpoints kept', 1, 100),
      number('training.headsEvery', 'Steps between head records', 1, 10_000),
      onOff('training.tensorboard', 'Files for TensorBoard, too', 'in tensorboard/ of the run’s folder'),
    ],
  },
];

const OPTIONS = new Map(GROUPS.flatMap(({ options }) => options.map((option) => [option.key, option])));

/** Options of models that write alone. */
const OF_TEXTS = ['method.targets', 'training.sequenceLength', 'training.packing'];

/** The method that an option is of alone; undefined: it is of all. */
const ownerOf = (key: string) => /^method\.(vera|adalora)\./.exec(key)?.[1];

/** What the options that are shown depend on. */
interface Shown {
  /** the model takes pictures */
  sees: boolean;
  /** it makes them */
  makesPictures?: boolean;
  /** how it is adapted, as far as that is known */
  method?: unknown;
}

/**
 * The options for a model and a method, and those that were fixed for another one: they are told to be none of this one's. Of a model that makes
 * pictures its own alone.
 */
export function groupsFor({ sees, makesPictures = false, method }: Shown, fixed: Record<string, unknown>) {
  const isShown = ({ key }: Option) => [undefined, method].includes(ownerOf(key)) || key in fixed;
  const groups = GROUPS.map((group) => ({ ...group, options: group.options.filter(isShown) }));
  if (makesPictures)
    return groups
      .filter(({ forPictures }) => !forPictures)
      .map((group) => ({ ...group, options: group.options.filter(({ key }) => !OF_TEXTS.includes(key)) }));
  return groups.filter(
    ({ forPictures, forPainters, options }) =>
      !forPainters && (!forPictures || sees || options.some(({ key }) => key in fixed)),
  );
}

/** What is said of options by their keys, in the words of the page. */
export const inWords = (message: string): string =>
  message.replace(/^engine\b|\b(?:method|training)(?:\.\w+)+/g, (key) => OPTIONS.get(key)?.label ?? key);

/** What stands in a number's field where it is none, of those that can be. */
const OFF = 'off';

/** A value of an option as its field shows it; empty where there is none. */
export function shownValue(option: Option, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (option.kind === 'percent') return writtenNumber(Number((100 * Number(value)).toPrecision(6)));
  if (option.kind === 'choice' && option.words) return option.words[String(value)] ?? String(value);
  if (option.kind === 'switch') return value === true ? 'yes' : value === false ? 'no' : String(value);
  if (option.kind === 'number' && option.canBeOff && value === false) return OFF;
  return typeof value === 'number' ? writtenNumber(value) : String(value);
}

/**
 * What a number field's text stands for, or what is wrong with it, as a sentence. An empty text stands for the plan's value.
 */
export function readNumber(
  option: Option & { kind: 'number' | 'percent' },
  text: string,
): { value: number | false | undefined } | { problem: string } {
  const canBeOff = option.kind === 'number' && option.canBeOff === true;
  const whole = option.kind === 'number' && option.step === 1;
  const wanted = `${whole ? 'a whole number' : 'a number'} from ${writtenNumber(option.min)} to ${option.max.toLocaleString()}`;
  const problem = `${option.label} takes ${wanted}${option.kind === 'percent' ? ', in percent' : ''}${canBeOff ? `, or ${OFF}` : ''}.`;
  if (text.trim() === '') return { value: undefined };
  if (canBeOff && text.trim().toLowerCase() === OFF) return { value: false };
  const value = typedNumber(text);
  if (value === undefined || value < option.min || value > option.max || (whole && !Number.isInteger(value)))
    return { problem };
  return { value: option.kind === 'percent' ? value / 100 : value };
}
