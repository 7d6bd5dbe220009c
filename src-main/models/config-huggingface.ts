import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { checkHeads } from './heads.ts';
import type { Architecture, ModelConfig, RopeConfig } from './types.ts';

const count = z.number().int().positive().max(1e9);
const scalingSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  factor: z.number().positive().optional(),
  rope_theta: z.number().positive().optional(),
  low_freq_factor: z.number().optional(),
  high_freq_factor: z.number().optional(),
  original_max_position_embeddings: count.optional(),
  attention_factor: z.number().nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
});
type Scaling = z.infer<typeof scalingSchema>;

/** The fields of config.json that the forward pass depends on. */
const configSchema = z.looseObject({
  model_type: z.string(),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(1000),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().optional(),
  rope_local_base_freq: z.number().positive().optional(),
  rope_scaling: scalingSchema.nullish(),
  rope_parameters: z.union([z.record(z.string(), scalingSchema), scalingSchema]).nullish(),
  tie_word_embeddings: z.boolean().optional(),
  hidden_act: z.string().optional(),
  hidden_activation: z.string().nullish(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  sliding_window: count.nullish(),
  sliding_window_pattern: count.optional(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.number().int().optional(),
  layer_types: z.array(z.string()).nullish(),
  query_pre_attn_scalar: z.number().positive().optional(),
  bos_token_id: z.number().int().nullish(),
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
});
type Config = z.infer<typeof configSchema>;

const FAMILIES: Record<string, Architecture> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma3_text: 'gemma3',
  gemma3: 'gemma3',
};

/** Reads config.json's content. @throws UserError naming the file and the field */
export function configFromHuggingFace(json: unknown, path: string): ModelConfig {
  const nested = json as { text_config?: object; model_type?: unknown };
  const family = FAMILIES[String(nested?.model_type)];
  if (!family)
    throw new UserError(
      `${path}: the model type "${String(nested?.model_type)}" is not supported; supported are ${Object.keys(FAMILIES).join(', ')}`,
    );
  const parsed = configSchema.safeParse(nested.text_config ? { ...json!, ...nested.text_config } : json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${path}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  return toModelConfig(family, parsed.data, path);
}

function toModelConfig(architecture: Architecture, c: Config, path: string): ModelConfig {
  const headSize = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const keyValueHeads = c.num_key_value_heads ?? c.num_attention_heads;
  checkHeads(c.num_attention_heads, keyValueHeads, headSize, path);
  const gemma = architecture === 'gemma3';
  return {
    architecture,
    layers: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    attentionHeads: c.num_attention_heads,
    keyValueHeads,
    headSize,
    vocabularySize: c.vocab_size,
    contextLength: c.max_position_embeddings,
    normEpsilon: c.rms_norm_eps,
    rope: ropeConfig(c, path),
    tiedEmbeddings: c.tie_word_embeddings ?? gemma,
    activation: activation(c.hidden_activation ?? c.hidden_act ?? (gemma ? 'gelu_pytorch_tanh' : 'silu'), path),
    attentionBias: architecture === 'qwen2' ? 'qkv' : c.attention_bias ? 'all' : 'none',
    mlpBias: c.mlp_bias ?? false,
    queryKeyNorm: architecture === 'qwen3' || gemma,
    attentionScale: (c.query_pre_attn_scalar ?? headSize) ** -0.5,
    slidingWindow: slidingWindows(architecture, c),
    gemmaNorms: gemma,
    bosTokenId: c.bos_token_id ?? undefined,
    eosTokenIds: c.eos_token_id == null ? [] : [c.eos_token_id].flat(),
  };
}

function activation(name: string, path: string): ModelConfig['activation'] {
  if (name === 'silu') return 'silu';
  if (name === 'gelu_pytorch_tanh') return 'gelu_tanh';
  throw new UserError(`${path}: the activation "${name}" is not supported; supported are silu and gelu_pytorch_tanh`);
}

/** Window of each layer: by layer_types where the file has them, else by the family's own rule. */
function slidingWindows(architecture: Architecture, c: Config): (number | undefined)[] {
  const window = c.sliding_window ?? undefined;
  return Array.from({ length: c.num_hidden_layers }, (_, layer) => {
    if (c.layer_types) return c.layer_types[layer] === 'sliding_attention' ? window : undefined;
    if (architecture === 'gemma3') return (layer + 1) % (c.sliding_window_pattern ?? 6) ? window : undefined;
    if (architecture === 'llama') return window;
    return c.use_sliding_window && layer >= (c.max_window_layers ?? 0) ? window : undefined;
  });
}

/** transformers 5 writes `rope_parameters` (gemma3: one a layer type), earlier ones `rope_theta` and `rope_scaling`. */
function ropeConfig(c: Config, path: string): RopeConfig {
  const parameters = c.rope_parameters ?? undefined;
  const perType = parameters && 'full_attention' in parameters ? (parameters as Record<string, Scaling>) : undefined;
  const full = perType?.full_attention ?? (parameters as Scaling | undefined) ?? c.rope_scaling ?? {};
  const theta = full.rope_theta ?? c.rope_theta ?? 10000;
  const localTheta = perType?.sliding_attention?.rope_theta ?? c.rope_local_base_freq;
  const context = full.original_max_position_embeddings ?? c.max_position_embeddings;
  return { theta, localTheta, scaling: ropeScaling(full, context, path) };
}

function ropeScaling(s: Scaling, originalContextLength: number, path: string): RopeConfig['scaling'] {
  const type = s.rope_type ?? s.type ?? 'default';
  const factor = s.factor ?? 1;
  if (type === 'default') return undefined;
  if (type === 'linear') return { type, factor };
  if (type === 'dynamic') return { type, factor, originalContextLength };
  if (type === 'llama3')
    return {
      type,
      factor,
      lowFrequencyFactor: s.low_freq_factor ?? 1,
      highFrequencyFactor: s.high_freq_factor ?? 4,
      originalContextLength,
    };
  if (type === 'yarn')
    return {
      type,
      factor,
      originalContextLength,
      attentionFactor: s.attention_factor ?? undefined,
      betaFast: s.beta_fast ?? undefined,
      betaSlow: s.beta_slow ?? undefined,
    };
  throw new UserError(
    `${path}: the RoPE scaling "${type}" is not supported; supported are linear, dynamic, llama3 and yarn`,
  );
}
