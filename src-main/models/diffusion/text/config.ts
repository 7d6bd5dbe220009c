import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import type { Activation } from '../../../engine/fused-kernels.ts';
import { count, few, notSupported } from '../config-file.ts';

/** CLIP's text encoder (transformers: CLIPTextModel, CLIPTextModelWithProjection). */
export interface TextConfig {
  vocabularySize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  /** tokens of a text at most */
  positions: number;
  activation: Activation;
  epsilon: number;
  /** features of the whole text where it has a projection */
  projectionSize?: number;
  /** the token whose place stands for the whole text; undefined: the one with the largest id, as CLIP's first configurations mean it */
  endToken?: number;
}

/** What transformers takes where a file is silent (configuration_clip.py). */
const schema = z.looseObject({
  ...{ model_type: z.string().default('clip_text_model'), architectures: z.array(z.string()).nullish() },
  ...{ vocab_size: count.default(49408), hidden_size: count.default(512), intermediate_size: count.default(2048) },
  ...{ num_hidden_layers: few.default(12), num_attention_heads: few.default(8) },
  ...{ max_position_embeddings: few.default(77), hidden_act: z.string().default('quick_gelu') },
  ...{ layer_norm_eps: z.number().positive().default(1e-5), projection_dim: count.default(512) },
  eos_token_id: z.number().int().nonnegative().default(49407),
});

const ACTIVATIONS: Record<string, Activation> = {
  ...{ quick_gelu: 'quick_gelu', gelu: 'gelu', gelu_new: 'gelu_tanh', gelu_pytorch_tanh: 'gelu_tanh' },
};
/** transformers has it so since its pull request 24773: before, configurations gave an id that is none. */
const NO_END = 2;

/** Reads a text encoder's config.json. @throws UserError naming file, field and value */
export function textConfig(json: unknown, file: string): TextConfig {
  const given = Object.entries((typeof json === 'object' && json) || {}).filter(([, value]) => value !== null);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${file}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
  }
  const c = parsed.data;
  if (c.model_type !== 'clip_text_model') throw notSupported(file, 'model_type', c.model_type, ['clip_text_model']);
  const activation = ACTIVATIONS[c.hidden_act];
  if (!activation) throw notSupported(file, 'hidden_act', c.hidden_act, Object.keys(ACTIVATIONS));
  if (c.hidden_size % c.num_attention_heads !== 0)
    throw new UserError(`${file}: hidden_size ${c.hidden_size} can't be cut into ${c.num_attention_heads} heads`);
  const isProjecting = c.architectures?.includes('CLIPTextModelWithProjection');
  return {
    ...{ vocabularySize: c.vocab_size, hiddenSize: c.hidden_size, intermediateSize: c.intermediate_size },
    ...{ layers: c.num_hidden_layers, heads: c.num_attention_heads, positions: c.max_position_embeddings },
    ...{ activation, epsilon: c.layer_norm_eps, projectionSize: isProjecting ? c.projection_dim : undefined },
    endToken: c.eos_token_id === NO_END ? undefined : c.eos_token_id,
  };
}
