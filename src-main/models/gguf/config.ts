import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { checkHeads } from '../heads.ts';
import type { Architecture, ModelConfig } from '../types.ts';
import { ggufRope, ropeFields, ropeSections, type RopeTensors } from './rope.ts';
import { numbersOf, type GgufHeader, type GgufValue } from './types.ts';

const FAMILIES: Record<string, Architecture> = {
  llama: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma3: 'gemma3',
  qwen2vl: 'qwen2',
};

const count = z.number().int().positive().max(1e9);
/** Hyperparameters under `<architecture>.` in the metadata (GGUF specification). */
const schema = z.looseObject({
  block_count: count.max(1000),
  embedding_length: count,
  feed_forward_length: count,
  context_length: count,
  expert_count: z.number().int().nonnegative().optional(),
  'attention.head_count': count,
  'attention.head_count_kv': count.optional(),
  'attention.key_length': count.optional(),
  'attention.value_length': count.optional(),
  'attention.layer_norm_rms_epsilon': z.number().positive().finite(),
  'attention.sliding_window': z.number().int().nonnegative().optional(),
  'attention.sliding_window_pattern': z.union([count, z.custom((value) => ArrayBuffer.isView(value))]).optional(),
  'attention.causal': z.boolean().optional(),
  final_logit_softcapping: z.number().optional(),
  attn_logit_softcapping: z.number().optional(),
  ...ropeFields,
});
type Fields = z.infer<typeof schema>;

/** Gemma 3: every sixth layer attends to everything; the others' RoPE base (llama.cpp, llama-model.cpp). */
const GEMMA_PATTERN = 6;
const GEMMA_LOCAL_THETA = 10000;
/** Gemma 3 27B scales attention by its hidden size over its heads instead of the head size. */
const GEMMA_27B_LAYERS = 62;

/**
 * Model configuration from a GGUF header, as llama.cpp reads it.
 * @param rope tensors of the file that belong to RoPE
 * @throws UserError naming the file and the field
 */
export function configFromGguf(header: GgufHeader, path: string, rope: RopeTensors = {}): ModelConfig {
  if (header.metadata.get('general.type') === 'adapter')
    throw new UserError(`${path} is a LoRA adapter, no model; add it under adapters, with its base model`);
  const name = String(header.metadata.get('general.architecture')).slice(0, 80);
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
  if (embedding?.shape.length !== 2)
    throw new UserError(`${path} holds no token_embd.weight; is it a whole language model?`);
  refuse(parsed.data, name, path);
  return toModelConfig(architecture, parsed.data, { header, vocabularySize: embedding.shape[0]!, rope, path });
}

/** What llama.cpp would compute and is not computed here. */
function refuse(f: Fields, name: string, path: string): void {
  const cannot = (key: string, why: string) =>
    new UserError(`${path}: "${name}.${key}" says ${why}, which is not supported`);
  if (f.expert_count) throw cannot('expert_count', `a mixture of ${f.expert_count} experts`);
  if (f['attention.causal'] === false) throw cannot('attention.causal', 'attention to later tokens');
  // Only gemma3 reads it, of these architectures.
  if (name === 'gemma3' && f.final_logit_softcapping) throw cannot('final_logit_softcapping', 'a cap on logits');
}

function toModelConfig(
  architecture: Architecture,
  f: Fields,
  parts: { header: GgufHeader; vocabularySize: number; rope: RopeTensors; path: string },
): ModelConfig {
  const { header: { metadata, tensors }, vocabularySize, path } = parts; // prettier-ignore
  const gemma = architecture === 'gemma3';
  const attentionHeads = f['attention.head_count'];
  const headSize = f['attention.key_length'] ?? f.embedding_length / attentionHeads;
  const keyValueHeads = f['attention.head_count_kv'] ?? attentionHeads;
  checkHeads(attentionHeads, keyValueHeads, headSize, path);
  for (const [key, size] of [
    ['attention.value_length', f['attention.value_length']],
    ['rope.dimension_count', f['rope.dimension_count']],
  ] as const)
    if (size !== undefined && size !== headSize)
      throw new UserError(`${path}: ${key} is ${size} and a head has ${headSize}; that they differ is not supported`);
  const scaleBy = gemma && f.block_count === GEMMA_27B_LAYERS ? f.embedding_length / attentionHeads : headSize;
  const slidingWindow = slidingWindows(gemma, f, path);
  const sections = ropeSections(f, headSize, path);
  const rope = { ...ggufRope(f, parts.rope, headSize, path), ...(sections && { sections }) };
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
    rope: gemma ? { ...rope, localTheta: f['rope.freq_base_swa'] ?? GEMMA_LOCAL_THETA } : rope,
    tiedEmbeddings: !tensors.has('output.weight'),
    activation: gemma ? 'gelu_tanh' : 'silu',
    attentionBias: !tensors.has('blk.0.attn_q.bias') ? 'none' : tensors.has('blk.0.attn_output.bias') ? 'all' : 'qkv',
    mlpBias: tensors.has('blk.0.ffn_up.bias'),
    queryKeyNorm: architecture === 'qwen3' || gemma,
    attentionScale: scaleBy ** -0.5,
    slidingWindow,
    gemmaNorms: gemma,
    bosTokenId: typeof bos === 'number' ? bos : undefined,
    eosTokenIds: [...new Set(eos.filter((id) => typeof id === 'number'))],
  };
}

/** llama.cpp applies the window of these architectures to gemma3 only: by a period, or by a list of layers. */
function slidingWindows(gemma: boolean, f: Fields, path: string): (number | undefined)[] {
  const window = (gemma && f['attention.sliding_window']) || undefined;
  const pattern = f['attention.sliding_window_pattern'] as GgufValue | undefined;
  const list = numbersOf(pattern);
  if (list && list.length < f.block_count)
    throw new UserError(`${path}: its sliding_window_pattern has ${list.length} entries for ${f.block_count} layers`);
  const period = typeof pattern === 'number' ? pattern : GEMMA_PATTERN;
  return Array.from({ length: f.block_count }, (_, layer) =>
    (list ? list[layer] : (layer + 1) % period) ? window : undefined,
  );
}
