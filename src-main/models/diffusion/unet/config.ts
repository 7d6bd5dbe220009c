import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { ANYTHING, checkedConfig, count, few, notSupported } from '../config-file.ts';

/** One level of a UNet: a size of pictures on the way down, or on the way up. */
export interface LevelConfig {
  channels: number;
  /** residual blocks on the way down; one more on the way up */
  layers: number;
  heads: number;
  /** transformer blocks behind each residual block; 0: none */
  depth: number;
}

/** A conditional UNet as Stable Diffusion 1, 2 and XL have it (diffusers: UNet2DConditionModel). */
export interface UNetConfig {
  inChannels: number;
  outChannels: number;
  /** the largest pictures first */
  down: LevelConfig[];
  /** of the smallest, between down and up */
  middle: Omit<LevelConfig, 'layers'>;
  /** the smallest first */
  up: LevelConfig[];
  groups: number;
  epsilon: number;
  /** features of a token of the text */
  contextWidth: number;
  time: TimeConfig;
  /** SDXL: sizes and crop beside the text, each as so many features, and the width of all together with the text's own */
  added?: { timeWidth: number; inFeatures: number };
  /** latents' sides that it was trained with; undefined: the file doesn't say */
  sampleSize?: number;
}

export interface TimeConfig {
  /** of the frequencies: the cosines stand first */
  cosineFirst: boolean;
  shift: number;
}

const levels = <T extends z.ZodType>(of: T) => z.union([of, z.array(of).min(1).max(16)]);
const schema = z.object({
  ...{ sample_size: z.union([few.max(65536), z.tuple([count, count])]).optional() },
  ...{ in_channels: few.default(4), out_channels: few.default(4) },
  ...{ flip_sin_to_cos: z.boolean().default(true), freq_shift: z.number().min(0).max(1).default(0) },
  down_block_types: z
    .array(z.string())
    .min(1)
    .max(16)
    .default(['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']),
  up_block_types: z
    .array(z.string())
    .min(1)
    .max(16)
    .default(['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']),
  block_out_channels: z.array(count).min(1).max(16).default([320, 640, 1280, 1280]),
  layers_per_block: levels(few).default(2),
  ...{ norm_num_groups: few.default(32), norm_eps: z.number().positive().default(1e-5) },
  cross_attention_dim: levels(count).default(1280),
  transformer_layers_per_block: levels(few).default(1),
  attention_head_dim: levels(few).default(8),
  addition_embed_type: z.string().optional(),
  addition_time_embed_dim: few.max(65536).optional(),
  projection_class_embeddings_input_dim: count.optional(),
});

/** What is known beside these and built in one form alone. */
const ONLY: Record<string, unknown[]> = {
  ...{ center_input_sample: [false], mid_block_type: ['UNetMidBlock2DCrossAttn'], only_cross_attention: [false] },
  ...{ downsample_padding: [1], mid_block_scale_factor: [1], act_fn: ['silu', 'swish'], dual_cross_attention: [false] },
  ...{ resnet_time_scale_shift: ['default'], resnet_skip_time_act: [false], resnet_out_scale_factor: [1] },
  ...{ time_embedding_type: ['positional'], conv_in_kernel: [3], conv_out_kernel: [3], attention_type: ['default'] },
  ...{ class_embeddings_concat: [false], mid_block_only_cross_attention: [false] },
  // In f32 attention is upcast already; dropout and the number of heads of what is not there say nothing.
  ...{ upcast_attention: ANYTHING, dropout: ANYTHING, addition_embed_type_num_heads: ANYTHING },
  ...{ use_linear_projection: [true, false] },
};

const ATTENDS: Record<string, boolean> = {
  ...{ CrossAttnDownBlock2D: true, DownBlock2D: false, CrossAttnUpBlock2D: true, UpBlock2D: false },
};

/** Reads a UNet's config.json. @throws UserError naming file, field and value */
export function unetConfig(json: unknown, file: string): UNetConfig {
  const c = checkedConfig(json, file, schema, ONLY);
  const channels = c.block_out_channels;
  const perLevel = (name: keyof typeof c, value: number | number[]): number[] => {
    const list = typeof value === 'number' ? channels.map(() => value) : value;
    if (list.length === channels.length) return list;
    throw new UserError(`${file}: "${name}" has ${list.length} entries for ${channels.length} levels`);
  };
  const attends = (name: 'down_block_types' | 'up_block_types', infix: string) => {
    const types = c[name];
    const other = types.find((type) => ATTENDS[type] === undefined || !type.endsWith(`${infix}Block2D`));
    if (other !== undefined) throw notSupported(file, name, other, Object.keys(ATTENDS).filter((type) => type.includes(infix))); // prettier-ignore
    if (types.length !== channels.length)
      throw new UserError(`${file}: "${name}" has ${types.length} entries for ${channels.length} levels`);
    return types.map((type) => ATTENDS[type]!);
  };
  const layers = perLevel('layers_per_block', c.layers_per_block);
  const heads = perLevel('attention_head_dim', c.attention_head_dim);
  const depths = perLevel('transformer_layers_per_block', c.transformer_layers_per_block);
  const [contextWidth, ...others] = new Set([c.cross_attention_dim].flat());
  if (others.length > 0) throw notSupported(file, 'cross_attention_dim', c.cross_attention_dim);
  channels.forEach((width, i) => {
    if (width % c.norm_num_groups !== 0)
      throw new UserError(`${file}: "block_out_channels" has ${width}, which "norm_num_groups" ${c.norm_num_groups} doesn't divide`); // prettier-ignore
    // Named for a head's size, it is the number of heads (diffusers' issue 2011).
    if (width % heads[i]! !== 0)
      throw new UserError(`${file}: ${width} channels can't be cut into the ${heads[i]} heads of "attention_head_dim"`);
  });
  const level = (i: number, isAttending: boolean): LevelConfig => ({
    ...{ channels: channels[i]!, layers: layers[i]!, heads: heads[i]!, depth: isAttending ? depths[i]! : 0 },
  });
  const last = channels.length - 1;
  const sampleSize = [c.sample_size ?? []].flat()[0];
  return {
    ...{ inChannels: c.in_channels, outChannels: c.out_channels, groups: c.norm_num_groups, epsilon: c.norm_eps },
    down: attends('down_block_types', 'Down').map((isAttending, i) => level(i, isAttending)),
    middle: { channels: channels[last]!, heads: heads[last]!, depth: depths[last]! },
    up: attends('up_block_types', 'Up').map((isAttending, i) => level(last - i, isAttending)),
    contextWidth: contextWidth!,
    time: { cosineFirst: c.flip_sin_to_cos, shift: c.freq_shift },
    ...{ added: addedOf(c, file), sampleSize },
  };
}

function addedOf(c: z.infer<typeof schema>, file: string): UNetConfig['added'] {
  const type = c.addition_embed_type;
  if (type === undefined) return undefined;
  if (type !== 'text_time') throw notSupported(file, 'addition_embed_type', type, ['text_time']);
  const { addition_time_embed_dim: timeWidth, projection_class_embeddings_input_dim: inFeatures } = c;
  if (timeWidth === undefined || inFeatures === undefined)
    throw new UserError(`${file}: "addition_embed_type" is text_time, and "addition_time_embed_dim" or "projection_class_embeddings_input_dim" is missing`); // prettier-ignore
  return { timeWidth, inFeatures };
}
