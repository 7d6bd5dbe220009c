/** How AdaLoRA's ranks are chosen; names as PEFT's AdaLoraConfig has them. */
export interface RankOptions {
  /** mean rank of a site at the end */
  targetRank: number;
  /** steps before the first choice */
  tInit: number;
  /** last steps, in which nothing is chosen any more */
  tFinal: number;
  /** steps between two choices */
  deltaT: number;
  /** smoothing of the sensitivity, and of how much it varies */
  beta1: number;
  beta2: number;
  /** weight of the penalty on A and B that are not orthogonal */
  orthogonality: number;
  /** of the whole run */
  steps: number;
}

/**
 * How many triplets may stay after the update of `step`, of `all` at the start and `target` at the end, along (1 - t)^3; undefined
 * where nothing is chosen in that step. At step `steps` - `tFinal` the target is reached, whatever deltaT says.
 */
export function budgetAt(
  step: number,
  all: number,
  target: number,
  { tInit, tFinal, deltaT, steps }: Pick<RankOptions, 'tInit' | 'tFinal' | 'deltaT' | 'steps'>,
): number | undefined {
  const last = steps - tFinal;
  if (step <= tInit || step > last || (step < last && step % deltaT !== 0)) return undefined;
  const left = 1 - (step - tInit) / (last - tInit);
  return Math.trunc((all - target) * left ** 3 + target);
}

/** 1 for the `budget` triplets of the highest scores, 0 for the others; of equal scores at the edge none stays. */
export function keptOf(scores: readonly number[], budget: number): number[] {
  const out = scores.length - budget;
  if (out <= 0) return scores.map(() => 1);
  const threshold = [...scores].sort((a, b) => a - b)[out - 1]!;
  return scores.map((score) => Number(score > threshold));
}
