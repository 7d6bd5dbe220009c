import { DEFAULT_LEARNING_RATES } from './methods/learning-rates.ts';
import type { AdapterOptions } from './types.ts';

// What the Configurator goes by. docs/structure.md has the runs that each rule follows from, by the titles named here.

/** Ranks to try, best first: of one head, rank 32 ended below rank 16 (Heads and rank). */
export const RANKS = [32, 16, 8, 4, 2];

/**
 * Heads a site, however many kinds of examples there are: on the mix, too, one head of rank 16 at every site ended below two of it at fewer
 * sites and three of rank 8 (Heads and rank). With one, all sites of any decoder train about half of what LoRA of that rank does.
 */
export const HEADS = 1;

/** Share of the heads that freeze, and of the steps before that and between selections (When heads freeze). */
export const REDUCER = { ratio: 0.6, from: 2 / 3, every: 0.15 };

/** Steps before the first selection, and between selections. */
export function selectionSteps(steps: number): { warmup: number; interval: number } {
  const share = (part: number) => Math.max(1, Math.round(part * steps));
  return { warmup: share(REDUCER.from), interval: share(REDUCER.every) };
}

/** @param freezesLayers whole layers freeze first, as time is short: with it the mean of three kinds ended as without (Whole layers) */
export const reducerFor = (steps: number, freezesLayers: boolean) => ({
  ...{ ratio: REDUCER.ratio, ...selectionSteps(steps) },
  ...(freezesLayers && { policy: 'prefix' as const }),
});

/** Examples a step, whatever fits at a time: as in all of the study's runs. */
export const EXAMPLES_A_STEP = 8;

/** How often each example is seen, where the time allows (Few examples). */
export const PASSES = 3;

/** Fewer examples than this are few. */
const ENOUGH = 200;
export const areFew = (examples: number): boolean => examples < ENOUGH;

/**
 * Rate of the first steps, from which it falls by cosine. The whole one is SmolLM2-135M's; gemma3-270m took half of it and was worse than LoRA
 * by a sixth at the whole (Another model); beyond that it falls with the root of the size, to what is usual for 7 billion. Of few
 * examples the half: with three passes over 60 it ended below the whole rate and below LoRA, which dropout didn't (Few examples).
 * @param parameters of the base model
 */
export function learningRateFor(parameters: number, examples: number): number {
  const whole = DEFAULT_LEARNING_RATES.effilora;
  const ofSize = parameters <= SMALL_MODEL ? whole : (whole / 2) * Math.min(1, Math.sqrt(HALF_RATE_MODEL / parameters));
  return Number((ofSize * (areFew(examples) ? 0.5 : 1)).toPrecision(2));
}
/** Parameters of models up to which the whole rate is right, and from which the half of it falls. */
const SMALL_MODEL = 150e6;
const HALF_RATE_MODEL = 270e6;

/** Of few examples: evaluations without a better held-out loss before a run ends, about a pass; the best state is kept. */
export const patienceFor = (examples: number): number => (areFew(examples) ? 3 : 0);

/** LoRA of the same rank on the same sites: what a proposal's numbers are told beside. */
export const loraLike = (method: AdapterOptions): AdapterOptions => ({ ...method, name: 'lora', heads: 1 });
