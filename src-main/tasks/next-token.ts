import { VARYING } from '../engine/varying-size.ts';
import {
  batchTensors,
  flatBatch,
  nextLabels,
  padBatch,
  paddedLength,
  shiftedLabels,
  type BatchTensors,
} from '../models/batch.ts';
import type { CausalLM } from '../models/causal-lm.ts';
import { ropeInputs, tokenFeeds } from '../models/feeds.ts';
import type { TokenBatch } from '../models/types.ts';
import type { Objective } from './task.ts';

/** The next token's -log p, summed over the label tokens. */
export function nextTokenObjective(model: CausalLM): Objective<TokenBatch, BatchTensors> {
  return {
    model,
    withoutTerms: 'no label tokens: its examples are all prompt. Check which part carries loss.',
    anyLength: true,
    terms: (batch) => shiftedLabels(batch).length,
    units: ({ segments }) => Uint8Array.from(segments, (segment) => Number(segment >= 0)),
    tensors: (batch) => batchTensors(model.config, batch),
    forGraph: (batch, isOpen) => (isOpen ? flatBatch(batch) : padBatch(batch, batch.rows, paddedLength(batch.length))),
    feeds: (batch, isOpen) => ({
      ...tokenFeeds(model.config, batch, isOpen),
      labels: { values: nextLabels(batch), shape: [isOpen ? VARYING : batch.inputIds.length] },
    }),
    // Without rows of its own: every token of a graph goes through the head.
    fed: ({ ids, segments, reach, labels, ...inputs }, { length }, isOpen) =>
      ({ length: isOpen ? 0 : length, ids, segments, reach, labels, ...ropeInputs(inputs) }) as BatchTensors,
    forward: (tensors, passes) => model.hidden(tensors, passes),
    lossSum: (tensors, passes) => model.lossSum(tensors, passes),
  };
}
