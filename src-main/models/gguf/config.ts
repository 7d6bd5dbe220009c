import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { checkHeads } from '../heads.ts';
import type { Architecture, ModelConfig, RopeConfig } from '../types.ts';
import type { GgufHeader, GgufValue } from './types.ts';

const FAMILIES: Record<string, Architecture> = { llama: 'llama', qwen2: 'qwen2', qwen3: 'qwen3', gemma3: 'gemma3' };

const count = z.number().int().positive().max(1e9);
/** Hyperparameters under `<architecture>.` in the metadata (GGUF specification). */
const schema = z.looseObject({
  block_count: count.max(1000),
  embedding_length: count,
  feed_forward_length: count,
  context_length: count,
  'attention.head_count': count,
  'attention.head_count_kv': count.optional(),
  'attention.key_length': count.optional(),
  'attention.layer_norm_rms_epsilon': z.number().positive(),
  'attention.sliding_window': z.number().int().nonnegative().optional(),
  'rope.freq_base': z.number().positive().optional(),
  'rope.scaling.type': z.string().optional(),
  'rope.scaling.factor': z.number().positive().optional(),
  'rope.scaling.original_context_length': count.optional(),
  'rope.scaling.attn_factor': z.number().positive().optional(),
});
type Fields = z.infer<typeof schema>;

/** Gemma 3: every sixth layer attends to everything; the others' RoPE base (llama.cpp, llama-model.cpp). */
const GEMMA_PATTERN = 6;
const GEMMA_LOCAL_THETA = 10000;
/** Gemma 3 27B scales attention by its hidden size over its heads instead of the head size. */
const GEMMA_27B_LAYERS = 62;

/**
 * Model configuration from a GGUF header. `ropeFactors`: the tensor rope_freqs.weight, where the file has one.
 * @throws UserError naming the file and the field
 */
export function configFromGguf(header: GgufHeader, path: string, ropeFactors?: number[]): ModelConfig {
  const name = String(header.metadata.get('general.architecture'));
  const architecture = FAMILIES[name];
  if (!architecture)
    throw new UserError(
      `${path}: the architecture "${name}" is not supported; supported are ${Object.keys(FAMILIES).join(', ')}`,
    );
  const fields: Record<string, GgufValue> = {};
  for (const [key, value] of header.metadata)
    if (key.startsWith(`${name}.`)) fields[key.slice(name.length + 1)] = value;
  const parsed = schema.safeParse(fields);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${path}: the metadata "${name}.${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  const embedding = header.tensors.get('token_embd.weight');
  if (!embedding) throw new UserError(`${path} holds no token_embd.weight; is it a whole language model?`);
  return toModelConfig(architecture, parsed.data, header, embedding.shape[0]!, ropeFactors, path);
}

function toModelConfig(
  architecture: Architecture,
  f: Fields,
  { metadata, tensors }: GgufHeader,
  vocabularySize: number,
  ropeFactors: number[] | undefined,
  path: string,
): ModelConfig {
  const gemma = architecture === 'gemma3';
  const attentionHeads = f['attention.head_count'];
  const headSize = f['attention.key_length'] ?? f.embedding_length / attentionHeads;
  const keyValueHeads = f['attention.head_count_kv'] ?? attentionHeads;
  checkHeads(attentionHeads, keyValueHeads, headSize, path);
  if (ropeFactors && ropeFactors.length !== headSize / 2)
    throw new UserError(
      `${path}: rope_freqs.weight has ${ropeFactors.length} numbers where ${headSize / 2} are needed`,
    );
  const scaleBy = gemma && f.block_count === GEMMA_27B_LAYERS ? f.embedding_length / attentionHeads : headSize;
  const window = f['attention.sliding_window'] || undefined;
  const eos = ['eos', 'eot', 'eom'].map((kind) => metadata.get(`tokenizer.ggml.${kind}_token_id`));
  const bos = metadata.get('tokenizer.ggml.bos_token_id');
  return {
    architecture,
    layers: f.block_count,
    hiddenSize: f.embedding_length,
    intermediateSize: f.feed_forward_length,
    attentionHeads,
    keyValueHeads,
    headSize,
    vocabularySize,
    contextLength: f.context_length,
    normEpsilon: f['attention.layer_norm_rms_epsilon'],
    rope: ropeConfig(gemma, f, ropeFactors),
    tiedEmbeddings: !tensors.has('output.weight'),
    activation: gemma ? 'gelu_tanh' : 'silu',
    attentionBias: !tensors.has('blk.0.attn_q.bias') ? 'none' : tensors.has('blk.0.attn_output.bias') ? 'all' : 'qkv',
    mlpBias: tensors.has('blk.0.ffn_up.bias'),
    queryKeyNorm: tensors.has('blk.0.attn_q_norm.weight'),
    attentionScale: scaleBy ** -0.5,
    slidingWindow: Array.from({ length: f.block_count }, (_, layer) =>
      gemma && (layer + 1) % GEMMA_PATTERN === 0 ? undefined : window,
    ),
    gemmaNorms: gemma,
    bosTokenId: typeof bos === 'number' ? bos : undefined,
    eosTokenIds: [...new Set(eos.filter((id) => typeof id === 'number'))],
  };
}

function ropeConfig(gemma: boolean, f: Fields, factors: number[] | undefined): RopeConfig {
  const theta = f['rope.freq_base'] ?? 10000;
  const rope: RopeConfig = gemma ? { theta, localTheta: GEMMA_LOCAL_THETA } : { theta };
  const type = f['rope.scaling.type'];
  const factor = f['rope.scaling.factor'] ?? 1;
  const originalContextLength = f['rope.scaling.original_context_length'] ?? f.context_length;
  if (factors) return { ...rope, scaling: { type: 'factors', factors } };
  if (type === 'linear') return { ...rope, scaling: { type, factor } };
  if (type === 'yarn') return { ...rope, scaling: { type, factor, originalContextLength } };
  return rope;
}
