import type { ModelConfig, ModelFile } from '../../models/types.ts';

const F32 = 4;
/** The engine, Node and their buffers, bytes. */
const ENGINE_BYTES = 600e6;
/** Logits are made for this many tokens at a time. */
const LOGITS_CHUNK_TOKENS = 256;

/** [in, out] of METHOD.md's seven sites, in their order. */
export function siteWidths(config: ModelConfig): [number, number][] {
  const { hiddenSize: hidden, intermediateSize: inner, attentionHeads, keyValueHeads, headSize } = config;
  const [query, keyValue] = [attentionHeads * headSize, keyValueHeads * headSize];
  return [
    [hidden, query],
    [hidden, keyValue],
    [hidden, keyValue],
    [query, hidden],
    [hidden, inner],
    [hidden, inner],
    [inner, hidden],
  ];
}

/** Predicted peak by part (METHOD.md, Configurator), with every block recomputed in backward. */
export function predictMemory(
  model: ModelFile,
  settings: { heads: number; rank: number; sequenceLength: number; batch: number; ratio: number },
): { part: string; bytes: number }[] {
  const { config } = model;
  const { heads, rank, batch, sequenceLength, ratio } = settings;
  const tokens = batch * sequenceLength;
  const parameters = model.tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);
  const widths = siteWidths(config);
  const adapter = config.layers * widths.reduce((sum, [inputs, outputs]) => sum + heads * (outputs * rank + inputs), 0);
  // One block's backward: inputs and outputs of its sites with their gradients, and the attention's scores.
  const siteValues = widths.reduce((sum, [inputs, outputs]) => sum + inputs + outputs + heads * rank, 0);
  const scores = batch * config.attentionHeads * sequenceLength ** 2;
  return [
    { part: 'Frozen weights', bytes: parameters * F32 },
    { part: 'Adapter', bytes: adapter * F32 },
    { part: 'Gradients and moments', bytes: 3 * adapter * F32 * (1 - ratio / 2) },
    {
      part: 'Activations',
      bytes: (config.layers * tokens * config.hiddenSize + 2 * tokens * siteValues + 3 * scores) * F32,
    },
    { part: 'Logits chunk', bytes: 3 * Math.min(tokens, LOGITS_CHUNK_TOKENS) * config.vocabularySize * F32 },
    { part: 'Engine', bytes: ENGINE_BYTES },
  ];
}
