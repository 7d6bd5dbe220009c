import { isOfLanguage } from './methods/structure.ts';
import type { AdapterOptions } from './types.ts';

/**
 * What a dataset's examples bring to be seen before the blocks: for vision pictures, or tiles of them. All go, each on its own, through
 * the same tower.
 */
export interface SeenFacts {
  /** what they are called, and what they take, as a sentence */
  name: string;
  said: string;
  /** examples there are, and how many of them each is in */
  examples: number;
  repeats: number;
  /** how many an example brings: mean, standard deviation, the most */
  mean: number;
  deviation: number;
  most: number;
  /** floating-point operations of one, forward */
  flops: number;
  /** bytes of one that come and go while it is seen in a step */
  bytes: number;
  /** and where what each layer gives stays until the last */
  bytesLayerByLayer: number;
  /** bytes of one that backward needs where the tower is trained, and where its layers are computed again */
  keptBytes: number;
  keptBytesAgain: number;
}

/** What is seen in a run's steps. */
export interface SeenShape {
  /** floating-point operations of what an example brings, on the mean, at every step: none where it was seen before the steps */
  flops: number;
  /** more of them where blocks are computed again */
  flopsAgain: number;
  /** and at every answer */
  forwardFlops: number;
  /** bytes that come and go in a micro-batch, and in a batch of held-out examples */
  bytes: number;
  evaluationBytes: number;
  /** bytes of a micro-batch that backward needs, and where blocks are computed again */
  keptBytes: number;
  keptBytesAgain: number;
}

type Method = Pick<AdapterOptions, 'targets' | 'whole'>;

/** Whether an adapter has sites in the tower: only then has that a backward pass. */
const trainsTower = ({ targets }: Method) => targets.some((site) => site.startsWith('tower.'));

/** Whether all is looked at anew in each pass, as something of what sees learns. */
const seesAnew = ({ targets, whole }: Method) => whole !== undefined || !targets.every(isOfLanguage);

/** How many different ones some of the examples bring, where each is in as many of them as any other. */
export function different(
  { examples, repeats, mean }: Pick<SeenFacts, 'examples' | 'repeats' | 'mean'>,
  drawn: number,
): number {
  const part = Math.min(1, drawn / examples);
  return ((examples * mean) / repeats) * (1 - (1 - part) ** repeats);
}

/**
 * In how many of all examples each is, from how many different ones some examples brought.
 * @param found different ones among `brought` of `drawn` examples, of `examples` in all
 */
export function repeatsOf(found: number, brought: number, drawn: number, examples: number): number {
  let [least, most] = [1, examples];
  const mean = brought / drawn;
  for (let i = 0; i < 60; i++) {
    const repeats = (least + most) / 2;
    if (different({ examples, repeats, mean }, drawn) > found) least = repeats;
    else most = repeats;
  }
  return (least + most) / 2;
}

/** Floating-point operations of what is looked at once for a whole run: of the examples drawn in its steps, and of those held out. */
export function flopsOnce(facts: SeenFacts | undefined, method: Method, drawn: number, heldOut: number): number {
  if (!facts || seesAnew(method)) return 0;
  return (different(facts, drawn) + (heldOut * facts.mean) / facts.repeats) * facts.flops;
}

/**
 * What is seen in steps of micro-batches of `batch` examples.
 * @param meanTokens of an example
 * @param evaluationTokens the most of a batch of held-out examples
 */
export function seenShape(
  facts: SeenFacts | undefined,
  method: Method,
  batch: number,
  meanTokens: number,
  evaluationTokens: number,
): SeenShape | undefined {
  if (!facts || facts.most === 0) return undefined;
  const { mean, deviation, most, flops, bytes, bytesLayerByLayer } = facts;
  const likely = (examples: number) =>
    Math.ceil(Math.min(examples * mean + 3 * Math.sqrt(examples) * deviation, examples * most));
  const heldOut = evaluationTokens > 0 ? Math.max(1, Math.floor(evaluationTokens / meanTokens)) : 0;
  // Each alone, and never again.
  if (!seesAnew(method)) return { ...NOTHING, bytes, evaluationBytes: heldOut > 0 ? bytesLayerByLayer : 0 };
  const backward = Number(trainsTower(method));
  return {
    forwardFlops: mean * flops,
    // As much again for the inputs' gradients: frozen weights have none.
    flops: mean * flops * (1 + backward),
    flopsAgain: mean * flops * backward,
    bytes: likely(batch) * bytes,
    evaluationBytes: likely(heldOut) * bytesLayerByLayer,
    keptBytes: likely(batch) * facts.keptBytes * backward,
    keptBytesAgain: likely(batch) * facts.keptBytesAgain * backward,
  };
}

const NOTHING: SeenShape = {
  ...{ flops: 0, flopsAgain: 0, forwardFlops: 0 },
  ...{ bytes: 0, evaluationBytes: 0, keptBytes: 0, keptBytesAgain: 0 },
};
