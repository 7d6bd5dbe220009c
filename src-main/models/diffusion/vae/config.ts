import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { ANYTHING, checkedConfig, count, few, notSupported } from '../config-file.ts';

/** What makes latents of pictures and pictures of latents (diffusers: AutoencoderKL). */
export interface VaeConfig {
  /** of a picture: red, green, blue */
  pictureChannels: number;
  latentChannels: number;
  /** of each level, the largest pictures first; each but the last halves them */
  channels: number[];
  /** residual blocks a level; one more on the way up */
  layers: number;
  groups: number;
  /** whether the smallest level attends */
  attends: boolean;
  /** linears between network and latents, on the way in and on the way out */
  linearIn: boolean;
  linearOut: boolean;
  /** diffusion's latents are (these - shift) * scale */
  scale: number;
  shift: number;
}

const kinds = z.array(z.string()).min(1).max(16);
const schema = z.object({
  ...{ in_channels: few.default(3), out_channels: few.default(3), latent_channels: few.default(4) },
  ...{ down_block_types: kinds.default(['DownEncoderBlock2D']), up_block_types: kinds.default(['UpDecoderBlock2D']) },
  ...{ block_out_channels: z.array(count).min(1).max(16).default([64]), layers_per_block: few.default(1) },
  ...{ norm_num_groups: few.default(32), scaling_factor: z.number().positive().default(0.18215) },
  ...{ shift_factor: z.number().default(0), mid_block_add_attention: z.boolean().default(true) },
  ...{ use_quant_conv: z.boolean().default(true), use_post_quant_conv: z.boolean().default(true) },
});

/** Of f32 there is nothing to upcast; the size it was trained with says nothing of others. */
const ONLY = { act_fn: ['silu', 'swish'], force_upcast: ANYTHING, sample_size: ANYTHING };

/** Reads an autoencoder's config.json. @throws UserError naming file, field and value */
export function vaeConfig(json: unknown, file: string): VaeConfig {
  const c = checkedConfig(json, file, schema, ONLY);
  for (const [name, type] of [
    ['down_block_types', 'DownEncoderBlock2D'],
    ['up_block_types', 'UpDecoderBlock2D'],
  ] as const) {
    // prettier-ignore
    const other = c[name].find((each) => each !== type);
    if (other !== undefined) throw notSupported(file, name, other, [type]);
    if (c[name].length !== c.block_out_channels.length)
      throw new UserError(`${file}: "${name}" has ${c[name].length} entries for ${c.block_out_channels.length} levels`);
  }
  if (c.in_channels !== c.out_channels) throw notSupported(file, 'out_channels', c.out_channels, [c.in_channels]);
  const odd = c.block_out_channels.find((width) => width % c.norm_num_groups !== 0);
  if (odd !== undefined)
    throw new UserError(`${file}: "block_out_channels" has ${odd}, which "norm_num_groups" ${c.norm_num_groups} doesn't divide`); // prettier-ignore
  return {
    ...{ pictureChannels: c.in_channels, latentChannels: c.latent_channels, channels: c.block_out_channels },
    ...{ layers: c.layers_per_block, groups: c.norm_num_groups, attends: c.mid_block_add_attention },
    ...{ linearIn: c.use_quant_conv, linearOut: c.use_post_quant_conv },
    ...{ scale: c.scaling_factor, shift: c.shift_factor },
  };
}
