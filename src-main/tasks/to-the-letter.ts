import { shiftedLabels, type BatchTensors } from '../models/batch.ts';
import type { CausalLM } from '../models/causal-lm.ts';
import type { Adaptation, TokenBatch } from '../models/types.ts';

/**
 * Whether each row of a batch is answered to the letter: every label token is the likeliest after those before it, which is when an
 * answer that is written token by token, always the likeliest one, is the row's own.
 */
export async function rowsToTheLetter(
  model: CausalLM,
  batch: TokenBatch,
  tensors: BatchTensors,
  adaptation?: Adaptation,
): Promise<boolean[]> {
  const likeliest = model.likeliestTokens(tensors, { adaptation });
  const values = await likeliest.data();
  likeliest.dispose();
  const rows = Array.from({ length: batch.rows }, () => true);
  shiftedLabels(batch).forEach(({ row, label }, i) => {
    if (values[i] !== label) rows[Math.floor(row / batch.length)] = false;
  });
  return rows;
}
