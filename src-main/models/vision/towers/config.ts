import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import type { Activation } from '../../../engine/fused-kernels.ts';
import type { PatchGrid } from './windows.ts';

/** A SigLIP or CLIP tower. Lengths in pixels. */
export interface EncoderConfig {
  kind: 'siglip' | 'clip';
  imageSize: number;
  patchSize: number;
  hiddenSize: number;
  intermediateSize: number;
  /** so many of its layers are run */
  layers: number;
  heads: number;
  epsilon: number;
  activation: Activation;
}

/** Qwen2.5-VL's tower. */
export interface QwenConfig {
  kind: 'qwen2.5';
  patchSize: number;
  frames: number;
  merge: number;
  /** pixels a side of what a patch sees outside the layers of `full` */
  windowSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  full: number[];
}

/** What makes a tower's output into the language model's embeddings, of `outSize` features. */
export type ConnectorConfig = { outSize: number } & (
  | { kind: 'shuffle'; scale: number }
  | { kind: 'mlp'; activation: Activation; bias: boolean; dropClass: boolean }
  | { kind: 'pool'; tokensPerSide: number; epsilon: number }
  | { kind: 'merge' }
);

export interface VisionConfig {
  tower: EncoderConfig | QwenConfig;
  connector: ConnectorConfig;
}

const count = z
  .number()
  .int()
  .positive()
  .max(1 << 20);
const few = count.max(1000);
const encoder = z.looseObject({
  ...{ image_size: count.max(16384), patch_size: few, hidden_size: count, intermediate_size: count },
  ...{ num_hidden_layers: few, num_attention_heads: few, num_channels: z.literal(3).optional() },
  ...{ layer_norm_eps: z.number().positive(), hidden_act: z.string(), model_type: z.string().optional() },
});
const qwen = z.looseObject({
  ...{ patch_size: few, temporal_patch_size: few.max(16), spatial_merge_size: few.max(16), window_size: count },
  ...{ hidden_size: count, intermediate_size: count, depth: few, num_heads: few, out_hidden_size: count },
  ...{ fullatt_block_indexes: z.array(z.number().int().nonnegative()).max(1000), hidden_act: z.literal('silu') },
  in_channels: z.literal(3).optional(),
});
const text = z.looseObject({ hidden_size: count });

/** What transformers takes where a file is silent (configuration_<family>.py). */
const SIGLIP = { hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12, num_attention_heads: 12, image_size: 224, patch_size: 16, hidden_act: 'gelu_pytorch_tanh', layer_norm_eps: 1e-6 }; // prettier-ignore
const IDEFICS = { ...SIGLIP, hidden_size: 1152, num_attention_heads: 16, patch_size: 32 };
const CLIP = { ...SIGLIP, patch_size: 32, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 };
const QWEN = { depth: 32, hidden_size: 3584, intermediate_size: 3420, num_heads: 16, patch_size: 14, temporal_patch_size: 2, spatial_merge_size: 2, window_size: 112, out_hidden_size: 3584, fullatt_block_indexes: [7, 15, 23, 31], hidden_act: 'silu' }; // prettier-ignore

/** Reads what a model sees with from its config.json. @throws UserError naming the file and the field */
export function visionConfig(json: unknown, file: string): VisionConfig {
  const root = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  const read = <T>(schema: z.ZodType<T>, name: string, defaults = {}): T => {
    const fields = Object.entries((root[name] as object | undefined) ?? {}).filter(([, value]) => value !== null);
    const parsed = schema.safeParse({ ...defaults, ...Object.fromEntries(fields) });
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    throw new UserError(`${file}: the field "${[name, ...issue.path].join('.')}" is not usable (${issue.message})`);
  };
  const number = (name: string, otherwise: number) => {
    const parsed = z
      .number()
      .int()
      .safeParse(root[name] ?? otherwise);
    if (parsed.success) return parsed.data;
    throw new UserError(`${file}: the field "${name}" is no whole number, which is not supported`);
  };
  const towerOf = (kind: EncoderConfig['kind'], types: string[], defaults: object): EncoderConfig => {
    const c = read(encoder, 'vision_config', defaults);
    if (c.model_type !== undefined && !types.includes(c.model_type))
      throw new UserError(`${file}: a tower of the type "${c.model_type.slice(0, 80)}" is not supported in such a model; supported is ${types.join(', ')}`); // prettier-ignore
    checkWidths(c.hidden_size, c.num_attention_heads, 1, file);
    return {
      ...{ kind, imageSize: c.image_size, patchSize: c.patch_size, hiddenSize: c.hidden_size },
      ...{ intermediateSize: c.intermediate_size, layers: c.num_hidden_layers, heads: c.num_attention_heads },
      ...{ epsilon: c.layer_norm_eps, activation: activationOf(c.hidden_act, file) },
    };
  };
  switch (root['model_type']) {
    case 'idefics3':
    case 'smolvlm': {
      const tower = towerOf('siglip', ['idefics3', 'idefics3_vision', 'smolvlm', 'smolvlm_vision'], IDEFICS);
      const scale = number('scale_factor', 2);
      checkSide(tower, scale, 'scale_factor', file);
      return { tower, connector: { kind: 'shuffle', scale, outSize: read(text, 'text_config').hidden_size } };
    }
    case 'gemma3': {
      const tower = towerOf('siglip', ['siglip_vision_model'], SIGLIP);
      const tokensPerSide = Math.sqrt(number('mm_tokens_per_image', 256));
      checkSide(tower, Math.floor(tower.imageSize / tower.patchSize) / tokensPerSide, 'mm_tokens_per_image', file);
      const outSize = read(text, 'text_config', { hidden_size: 2304 }).hidden_size;
      return { tower, connector: { kind: 'pool', tokensPerSide, epsilon: tower.epsilon, outSize } };
    }
    case 'llava':
      return llava(towerOf('clip', ['clip_vision_model'], CLIP), root, number('vision_feature_layer', -2), file, () => read(text, 'text_config', { hidden_size: 4096 }).hidden_size); // prettier-ignore
    case 'qwen2_5_vl':
      return qwenConfig(read(qwen, 'vision_config', QWEN), file);
    default:
      throw new UserError(
        `${file}: models of the type "${String(root['model_type']).slice(0, 80)}" are not known to take pictures here; those of idefics3, smolvlm, llava, gemma3 and qwen2_5_vl are`,
      );
  }
}

function llava(
  tower: EncoderConfig,
  root: Record<string, unknown>,
  layer: number,
  file: string,
  outSize: () => number,
): VisionConfig {
  // prettier-ignore
  const layers = layer < 0 ? tower.layers + 1 + layer : layer;
  if (layers < 0 || layers > tower.layers)
    throw new UserError(`${file}: "vision_feature_layer" is ${layer} in a tower of ${tower.layers} layers`);
  const strategy = root['vision_feature_select_strategy'] ?? 'default';
  if (strategy !== 'default' && strategy !== 'full')
    throw new UserError(`${file}: "vision_feature_select_strategy" is ${String(strategy).slice(0, 40)}, which is not supported`); // prettier-ignore
  const activation = activationOf(String(root['projector_hidden_act'] ?? 'gelu'), file);
  const bias = root['multimodal_projector_bias'] !== false;
  return {
    tower: { ...tower, layers },
    connector: { kind: 'mlp', activation, bias, dropClass: strategy === 'default', outSize: outSize() },
  };
}

function qwenConfig(c: z.infer<typeof qwen>, file: string): VisionConfig {
  checkWidths(c.hidden_size, c.num_heads, 4, file);
  if (c.window_size < c.patch_size * c.spatial_merge_size)
    throw new UserError(`${file}: "window_size" is smaller than a merged patch`);
  return {
    tower: {
      ...{ kind: 'qwen2.5', patchSize: c.patch_size, frames: c.temporal_patch_size, merge: c.spatial_merge_size },
      ...{ windowSize: c.window_size, hiddenSize: c.hidden_size, intermediateSize: c.intermediate_size },
      ...{ layers: c.depth, heads: c.num_heads, full: c.fullatt_block_indexes },
    },
    connector: { kind: 'merge', outSize: c.out_hidden_size },
  };
}

/** @param parts an attention head is cut into so many */
function checkWidths(hidden: number, heads: number, parts: number, file: string): void {
  if (hidden % (heads * parts) !== 0)
    throw new UserError(`${file}: vision_config's hidden_size ${hidden} can't be cut into ${heads} heads`);
}

/** Blocks of `block` x `block` patches make one token. */
function checkSide({ imageSize, patchSize }: EncoderConfig, block: number, field: string, file: string): void {
  const side = Math.floor(imageSize / patchSize);
  if (!Number.isInteger(block) || block < 1 || side % block !== 0)
    throw new UserError(`${file}: "${field}" doesn't divide the ${side} x ${side} patches of a picture`);
}

/** How many of the language model's tokens a picture, or a tile of one, of so many patches becomes. */
export function featuresOf({ rows, columns }: PatchGrid, { tower, connector }: VisionConfig): number {
  const patches = rows * columns;
  switch (connector.kind) {
    case 'shuffle':
      return patches / connector.scale ** 2;
    case 'mlp':
      return connector.dropClass ? patches : patches + 1;
    case 'pool':
      return connector.tokensPerSide ** 2;
    case 'merge':
      return patches / (tower as QwenConfig).merge ** 2;
  }
}

const ACTIVATIONS: Record<string, Activation> = {
  ...{ gelu_pytorch_tanh: 'gelu_tanh', gelu_new: 'gelu_tanh', gelu: 'gelu', quick_gelu: 'quick_gelu' },
};

function activationOf(name: string, file: string): Activation {
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name]!;
  throw new UserError(`${file}: the activation "${name.slice(0, 40)}" is not supported in a tower; supported are ${Object.keys(ACTIVATIONS).join(', ')}`); // prettier-ignore
}
