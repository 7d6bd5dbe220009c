import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { checkHeads } from './heads.ts';
import { ropeFields, ropeOf } from './rope-huggingface.ts';
import type { Architecture, ModelConfig } from './types.ts';

const count = z.number().int().positive().max(1e9);
const tokenId = z.number().int();

/** The fields of config.json that the forward pass depends on. */
const configSchema = z.looseObject({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(1000),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  tie_word_embeddings: z.boolean().nullish(),
  hidden_act: z.string().nullish(),
  hidden_activation: z.string().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  sliding_window: count.nullish(),
  sliding_window_pattern: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().nullish(),
  layer_types: z.array(z.string()).max(1000).nullish(),
  query_pre_attn_scalar: z.number().positive().nullish(),
  final_logit_softcapping: z.number().nullish(),
  attn_logit_softcapping: z.number().nullish(),
  use_bidirectional_attention: z.boolean().nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId).max(1000)]).nullish(),
  ...ropeFields,
});
type Config = z.infer<typeof configSchema>;

interface Family {
  architecture: Architecture;
  /** what transformers takes where the file is silent (configuration_<family>.py) */
  defaults: Record<string, unknown>;
}

const SIZES = { hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32 };
const LLAMA = { ...SIZES, vocab_size: 32000, max_position_embeddings: 2048, rms_norm_eps: 1e-6 };
const QWEN = { ...SIZES, vocab_size: 151936, intermediate_size: 22016, max_position_embeddings: 32768, rms_norm_eps: 1e-6, num_key_value_heads: 32, sliding_window: 4096, max_window_layers: 28 }; // prettier-ignore
const GEMMA: Family = {
  architecture: 'gemma3',
  defaults: {
    ...{ vocab_size: 262208, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, head_dim: 256 },
    ...{ num_attention_heads: 8, num_key_value_heads: 4, max_position_embeddings: 131072, rms_norm_eps: 1e-6 },
    ...{ hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 256, sliding_window: 4096 },
    ...{ sliding_window_pattern: 6, tie_word_embeddings: true },
  },
};
const FAMILIES: Record<string, Family> = {
  llama: { architecture: 'llama', defaults: LLAMA },
  mistral: {
    architecture: 'llama',
    defaults: { ...LLAMA, intermediate_size: 14336, max_position_embeddings: 131072, num_key_value_heads: 8, sliding_window: 4096 }, // prettier-ignore
  },
  qwen2: { architecture: 'qwen2', defaults: QWEN },
  qwen3: { architecture: 'qwen3', defaults: { ...QWEN, head_dim: 128 } },
  qwen2_5_vl_text: { architecture: 'qwen2', defaults: QWEN },
  gemma3_text: GEMMA,
  gemma3: GEMMA,
};

/** What the configuration says of the weights' file, beside the model's own. */
export interface HuggingFaceConfig {
  config: ModelConfig;
  /** whether head and embedding are meant to be one */
  tied: boolean;
}

/** Reads config.json's content as transformers 5 does. @throws UserError naming the file and the field */
export function configFromHuggingFace(json: unknown, path: string): HuggingFaceConfig {
  const root = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  const type = typeof root['model_type'] === 'string' ? root['model_type'].slice(0, 80) : 'undefined';
  const family = Object.hasOwn(FAMILIES, type) ? FAMILIES[type]! : undefined;
  if (!family)
    throw new UserError(
      `${path}: the model type "${type}" is not supported; supported are ${Object.keys(FAMILIES).join(', ')}`,
    );
  const parsed = configSchema.safeParse({ ...family.defaults, ...fieldsOf(type, root) });
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${path}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  return {
    config: toModelConfig(type, family.architecture, parsed.data, path),
    tied: parsed.data.tie_word_embeddings ?? false,
  };
}

/** gemma3 with vision keeps its text model in text_config. */
const fieldsOf = (type: string, root: Record<string, unknown>) => (type === 'gemma3' ? textFields(root) : root);

/** The config.json that the language model of a model with vision would have alone, which is a llama unless it says otherwise. */
export function textPart(json: unknown): unknown {
  const root = (json ?? {}) as Record<string, unknown>;
  const type = TEXT_TYPES[String(root['model_type'])] ?? 'llama';
  // Before transformers 5, qwen2_5_vl had its text model's fields outside.
  if (root['model_type'] === 'qwen2_5_vl' && !root['text_config']) return { ...root, model_type: type };
  return { model_type: type, ...textFields(root) };
}

const TEXT_TYPES: Record<string, string> = { gemma3: 'gemma3_text', qwen2_5_vl: 'qwen2_5_vl_text' };

/** The text model of a model with vision; its special tokens may stand outside. */
function textFields(root: Record<string, unknown>): Record<string, unknown> {
  const { bos_token_id, eos_token_id, tie_word_embeddings } = root;
  const outside = Object.entries({ bos_token_id, eos_token_id, tie_word_embeddings }).filter(
    ([, value]) => value != null,
  );
  return { ...Object.fromEntries(outside), ...(root['text_config'] as object | null | undefined) };
}

function toModelConfig(type: string, architecture: Architecture, c: Config, path: string): ModelConfig {
  const headSize = c.head_dim ?? Math.floor(c.hidden_size / c.num_attention_heads);
  const keyValueHeads = c.num_key_value_heads ?? c.num_attention_heads;
  checkHeads(c.num_attention_heads, keyValueHeads, headSize, path);
  const gemma = architecture === 'gemma3';
  refuse(gemma, c, path);
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
    rope: ropeOf(c, gemma, headSize, path),
    tiedEmbeddings: c.tie_word_embeddings ?? false,
    activation: activation(
      (gemma ? c.hidden_activation : c.hidden_act) ?? (gemma ? 'gelu_pytorch_tanh' : 'silu'),
      path,
    ),
    attentionBias: architecture === 'qwen2' ? 'qkv' : c.attention_bias && type !== 'mistral' ? 'all' : 'none',
    mlpBias: (type === 'llama' && c.mlp_bias) || false,
    queryKeyNorm: architecture === 'qwen3' || gemma,
    attentionScale: ((gemma && c.query_pre_attn_scalar) || headSize) ** -0.5,
    slidingWindow: slidingWindows(type, c, path),
    gemmaNorms: gemma,
    bosTokenId: c.bos_token_id ?? undefined,
    eosTokenIds: c.eos_token_id == null ? [] : [c.eos_token_id].flat(),
  };
}

/** What transformers would compute and is not computed here. */
function refuse(gemma: boolean, c: Config, path: string): void {
  if (!gemma) return;
  const field = c.use_bidirectional_attention
    ? 'use_bidirectional_attention'
    : (['final_logit_softcapping', 'attn_logit_softcapping'] as const).find((name) => c[name] != null);
  if (field) throw new UserError(`${path}: "${field}" is set to ${c[field]}, which is not supported`);
}

const ACTIVATIONS: Record<string, ModelConfig['activation']> = {
  ...{ silu: 'silu', swish: 'silu' },
  // One formula, written in four ways.
  ...{ gelu_pytorch_tanh: 'gelu_tanh', gelu_python_tanh: 'gelu_tanh', gelu_new: 'gelu_tanh', gelu_fast: 'gelu_tanh' },
};

function activation(name: string, path: string): ModelConfig['activation'] {
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name]!;
  throw new UserError(
    `${path}: the activation "${name.slice(0, 40)}" is not supported; supported are ${Object.keys(ACTIVATIONS).join(', ')}`,
  );
}

/**
 * Window of each layer by the family's own rule: llama has none, whatever the file says; mistral one on every layer, or on those of
 * its layer_types (which transformers then calls ministral).
 */
function slidingWindows(type: string, c: Config, path: string): (number | undefined)[] {
  const layers = Array.from({ length: c.num_hidden_layers }, (_, layer) => layer);
  if (type === 'llama') return layers.map(() => undefined);
  if (type === 'mistral' && !c.layer_types) return layers.map(() => c.sliding_window ?? undefined);
  const gemma = type.startsWith('gemma3');
  const window = (gemma || type === 'mistral' || c.use_sliding_window ? c.sliding_window : undefined) ?? undefined;
  const slides = c.layer_types
    ? layerTypes(c.layer_types, c.num_hidden_layers, path)
    : layers.map((layer) =>
        gemma
          ? (layer + 1) % (c.sliding_window_pattern ?? 6) !== 0
          : window !== undefined && layer >= (c.max_window_layers ?? 28),
      );
  if (slides.some(Boolean) && window === undefined)
    throw new UserError(`${path}: some layers have a sliding window, and sliding_window doesn't say how wide it is`);
  return slides.map((slide) => (slide ? window : undefined));
}

/** Which layers slide. */
function layerTypes(types: string[], layers: number, path: string): boolean[] {
  const other = types.find((type) => !['sliding_attention', 'full_attention', 'attention'].includes(type));
  if (other !== undefined) throw new UserError(`${path}: the layer type "${other.slice(0, 40)}" is not supported`);
  if (types.length !== layers)
    throw new UserError(`${path}: layer_types has ${types.length} entries for ${layers} layers`);
  return types.map((type) => type === 'sliding_attention');
}
