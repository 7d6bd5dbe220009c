import type { AdapterOptions } from './types.ts';

/**
 * What a dataset's examples bring to be seen before the blocks: for vision pictures, or tiles of them. All go, each on its own, through
 * the same tower.
 */
export interface SeenFacts {
  /** what they are called, and what they take, as a sentence */
  name: string;
  said: string;
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
  /** bytes of one that backward needs where the tower is trained */
  keptBytes: number;
}

/** What is seen in a run's steps. */
export interface SeenShape {
  /** floating-point operations of what an example brings, on the mean: of a step, and forward alone */
  flops: number;
  forwardFlops: number;
  /** bytes that come and go in a micro-batch, and in a batch of held-out examples */
  bytes: number;
  evaluationBytes: number;
  /** bytes of a micro-batch that backward needs */
  keptBytes: number;
}

/** Whether an adapter has sites in what sees: only then has it a backward pass. */
const trainsWhatSees = ({ targets }: Pick<AdapterOptions, 'targets'>) =>
  targets.some((site) => site.startsWith('tower.'));

/**
 * What is seen in steps of micro-batches of `batch` examples.
 * @param meanTokens of an example
 * @param evaluationTokens the most of a batch of held-out examples
 */
export function seenShape(
  facts: SeenFacts | undefined,
  method: Pick<AdapterOptions, 'targets'>,
  batch: number,
  meanTokens: number,
  evaluationTokens: number,
): SeenShape | undefined {
  if (!facts || facts.most === 0) return undefined;
  const { mean, deviation, most, flops, bytes, bytesLayerByLayer, keptBytes } = facts;
  const likely = (examples: number) =>
    Math.ceil(Math.min(examples * mean + 3 * Math.sqrt(examples) * deviation, examples * most));
  const backward = trainsWhatSees(method);
  return {
    forwardFlops: mean * flops,
    // As much again for the inputs' gradients: frozen weights have none.
    flops: mean * flops * (backward ? 2 : 1),
    bytes: likely(batch) * bytes,
    evaluationBytes:
      evaluationTokens > 0 ? likely(Math.max(1, Math.floor(evaluationTokens / meanTokens))) * bytesLayerByLayer : 0,
    keptBytes: backward ? likely(batch) * keptBytes : 0,
  };
}
