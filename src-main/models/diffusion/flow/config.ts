import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { checkedConfig, count, few } from '../config-file.ts';

/** A transformer that takes the noise out of a flow's latents, text and picture in one sequence (diffusers: ZImageTransformer2DModel). */
export interface FlowTransformerConfig {
  channels: number;
  width: number;
  /** of feed-forward */
  innerWidth: number;
  heads: number;
  /** blocks over text and picture together, and blocks before them over each alone */
  layers: number;
  refiners: number;
  epsilon: number;
  /** whether queries and keys are normed */
  headNorms: boolean;
  /** features of a token of the text */
  contextWidth: number;
  /** the time, from 0 (noise) to 1 (picture), is multiplied by it */
  timeScale: number;
  rope: {
    theta: number;
    /** features of a head that turn by the place in the text, by the row and by the column, and how many of each there are */
    axes: { features: number; length: number }[];
  };
}

const AXES = 3;
const axes = z.array(count.max(65536)).length(AXES);
const schema = z.object({
  ...{ in_channels: few.default(16), dim: count.default(3840), n_layers: few.default(30) },
  ...{ n_refiner_layers: few.default(2), n_heads: few.default(30), n_kv_heads: few.optional() },
  ...{ norm_eps: z.number().positive().default(1e-5), qk_norm: z.boolean().default(true) },
  ...{ cap_feat_dim: count.default(2560), rope_theta: z.number().positive().default(256) },
  ...{ t_scale: z.number().positive().default(1000) },
  ...{ axes_dims: axes.default([32, 48, 48]), axes_lens: axes.default([1024, 512, 512]) },
});
/** Pictures that are looked at beside the text (Omni) would need "siglip_feat_dim". */
const ONLY = { all_patch_size: [[2]], all_f_patch_size: [[1]] };

/** Reads a config.json. @throws UserError naming file, field and value */
export function flowTransformerConfig(json: unknown, file: string): FlowTransformerConfig {
  const c = checkedConfig(json, file, schema, ONLY);
  if ((c.n_kv_heads ?? c.n_heads) !== c.n_heads)
    throw new UserError(`${file}: "n_kv_heads" is ${c.n_kv_heads}, which is not supported; supported is "n_heads", ${c.n_heads}`); // prettier-ignore
  const size = c.dim / c.n_heads;
  const sum = c.axes_dims.reduce((all, features) => all + features, 0);
  if (sum !== size || c.axes_dims.some((features) => features % 2 !== 0))
    throw new UserError(`${file}: "axes_dims" has to be even numbers with a sum of ${size}, the width of a head, and is ${JSON.stringify(c.axes_dims)}`); // prettier-ignore
  return {
    ...{ channels: c.in_channels, width: c.dim, innerWidth: Math.trunc((c.dim / 3) * 8), heads: c.n_heads },
    ...{ layers: c.n_layers, refiners: c.n_refiner_layers, epsilon: c.norm_eps, headNorms: c.qk_norm },
    ...{ contextWidth: c.cap_feat_dim, timeScale: c.t_scale },
    rope: {
      theta: c.rope_theta,
      axes: c.axes_dims.map((features, i) => ({ features, length: c.axes_lens[i]! })),
    },
  };
}
