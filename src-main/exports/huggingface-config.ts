import { UserError } from '../engine/types.ts';
import { ropeFrequencies } from '../models/rope.ts';
import type { Architecture, ModelConfig, RopeConfig } from '../models/types.ts';

const FAMILIES: Record<Architecture, { model_type: string; architectures: string[] }> = {
  llama: { model_type: 'llama', architectures: ['LlamaForCausalLM'] },
  qwen2: { model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] },
  qwen3: { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'] },
  gemma3: { model_type: 'gemma3_text', architectures: ['Gemma3ForCausalLM'] },
};

/** Llama 3's own scaling (config.json of Llama 3.1 to 3.3), whose factor alone differs between its models. */
const LLAMA3 = { lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 8192 };

/**
 * A model's config.json in transformers' names. @throws UserError for a RoPE scaling that GGUF carries and transformers can't say
 */
export function huggingFaceConfig(config: ModelConfig, file: string): object {
  const window = config.slidingWindow.find((size) => size !== undefined);
  const { rope } = config;
  return {
    ...FAMILIES[config.architecture],
    vocab_size: config.vocabularySize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.attentionHeads,
    num_key_value_heads: config.keyValueHeads,
    head_dim: config.headSize,
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEpsilon,
    rope_theta: rope.theta,
    rope_scaling: ropeScaling(config, file),
    rope_local_base_freq: rope.localTheta,
    tie_word_embeddings: config.tiedEmbeddings,
    [config.gemmaNorms ? 'hidden_activation' : 'hidden_act']:
      config.activation === 'silu' ? 'silu' : 'gelu_pytorch_tanh',
    attention_bias: config.attentionBias === 'all',
    mlp_bias: config.mlpBias,
    sliding_window: window,
    layer_types:
      window === undefined
        ? undefined
        : config.slidingWindow.map((size) => (size === undefined ? 'full_attention' : 'sliding_attention')),
    query_pre_attn_scalar: config.gemmaNorms ? Math.round(config.attentionScale ** -2) : undefined,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenIds[0],
  };
}

function ropeScaling({ rope, headSize, contextLength }: ModelConfig, file: string): object | undefined {
  const { scaling } = rope;
  if (!scaling) return undefined;
  if (scaling.type === 'linear') return { rope_type: 'linear', factor: scaling.factor };
  if (scaling.type === 'yarn')
    return {
      rope_type: 'yarn',
      factor: scaling.factor,
      original_max_position_embeddings: scaling.originalContextLength,
      attention_factor: scaling.attentionFactor,
      beta_fast: scaling.betaFast,
      beta_slow: scaling.betaSlow,
    };
  if (scaling.type === 'longrope')
    return {
      rope_type: 'longrope',
      short_factor: scaling.short,
      long_factor: scaling.long,
      original_max_position_embeddings: scaling.originalContextLength,
      attention_factor: scaling.attentionFactor,
    };
  if (scaling.type === 'factors' && (scaling.attentionFactor ?? 1) === 1)
    return llama3Of(rope, scaling.factors, headSize, contextLength, file);
  throw new UserError(`${file}: its RoPE scaling ${scaling.type} can't be written to config.json; export merged-gguf`);
}

/** The llama3 scaling that gives these divisors. */
function llama3Of(rope: RopeConfig, factors: number[], headSize: number, length: number, file: string): object {
  const scaling = { type: 'llama3' as const, factor: Math.max(...factors), ...LLAMA3 };
  const plain = ropeFrequencies(headSize, { ...rope, scaling: undefined }, length).inverse;
  const scaled = ropeFrequencies(headSize, { ...rope, scaling }, length).inverse;
  if (factors.some((factor, i) => Math.abs(plain[i]! / scaled[i]! / factor - 1) > 1e-3))
    throw new UserError(
      `${file}: its RoPE factors are not Llama 3's and can't be written to config.json; export merged-gguf`,
    );
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: LLAMA3.lowFrequencyFactor,
    high_freq_factor: LLAMA3.highFrequencyFactor,
    original_max_position_embeddings: LLAMA3.originalContextLength,
  };
}
