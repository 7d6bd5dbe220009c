import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import type { RopeConfig } from './types.ts';

const positive = z.number().positive();
const whole = z.number().int().nonnegative().max(65536);
const factors = z.array(positive).max(65536);
const scalingSchema = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  factor: positive.nullish(),
  rope_theta: positive.nullish(),
  partial_rotary_factor: z.number().nullish(),
  low_freq_factor: z.number().nullish(),
  high_freq_factor: z.number().nullish(),
  original_max_position_embeddings: positive.nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  short_factor: factors.nullish(),
  long_factor: factors.nullish(),
  mrope_section: z.tuple([whole, whole, whole]).nullish(),
});
type Scaling = z.infer<typeof scalingSchema>;

/** RoPE's fields of config.json: `rope_parameters` since transformers 5, `rope_scaling` and others beside it before. */
export const ropeFields = {
  rope_theta: positive.nullish(),
  rope_local_base_freq: positive.nullish(),
  rope_scaling: z.union([z.looseObject({}), z.null()]).optional(),
  rope_parameters: z.union([z.looseObject({}), z.null()]).optional(),
  partial_rotary_factor: z.number().nullish(),
  original_max_position_embeddings: positive.nullish(),
};
type Fields = z.infer<z.ZodObject<typeof ropeFields>> & { max_position_embeddings: number };

/** Gemma 3's own bases (transformers, Gemma3TextConfig). */
const GEMMA = { global: 1_000_000, local: 10_000 };
const THETA = 10_000;

/**
 * RoPE as transformers 5 reads it (modeling_rope_utils.py, and Gemma3TextConfig for gemma3, whose layers have two).
 * @throws UserError naming the field
 */
export function ropeOf(c: Fields, gemma: boolean, headSize: number, path: string): RopeConfig {
  if (gemma) return gemmaRope(c, headSize, path);
  const given = isFilled(c.rope_scaling) ? c.rope_scaling : (c.rope_parameters ?? {});
  if ('full_attention' in given || 'sliding_attention' in given)
    throw new UserError(`${path}: RoPE parameters by kind of layer are only supported for gemma3`);
  const scaling = parsed(given, isFilled(c.rope_scaling) ? 'rope_scaling' : 'rope_parameters', path);
  const complete = { ...scaling, original_max_position_embeddings: c.original_max_position_embeddings ?? scaling.original_max_position_embeddings }; // prettier-ignore
  const theta = scaling.rope_theta ?? c.rope_theta ?? THETA;
  return { theta, sections: sectionsOf(scaling, headSize, path), scaling: ropeScaling(complete, c, headSize, path) };
}

/** M-RoPE's sections. @throws UserError where they are not of all frequencies */
function sectionsOf({ mrope_section: sections }: Scaling, headSize: number, path: string): RopeConfig['sections'] {
  if (!sections) return undefined;
  const sum = sections.reduce((all, size) => all + size, 0);
  if (sum === headSize / 2) return sections;
  throw new UserError(`${path}: "mrope_section" is of ${sum} frequencies, and each head has ${headSize / 2}`);
}

const isFilled = (value: object | null | undefined): value is object => !!value && Object.keys(value).length > 0;

function parsed(value: unknown, field: string, path: string): Scaling {
  const result = scalingSchema.safeParse(value ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new UserError(`${path}: the field "${[field, ...issue.path].join('.')}" is not usable (${issue.message})`);
}

function gemmaRope(c: Fields, headSize: number, path: string): RopeConfig {
  const given = (c.rope_parameters ?? {}) as { full_attention?: unknown; sliding_attention?: unknown };
  const full = parsed({ ...(given.full_attention as object | null), ...c.rope_scaling }, 'rope_parameters', path);
  const local = parsed(given.sliding_attention, 'rope_parameters.sliding_attention', path);
  const theta = full.rope_theta ?? c.rope_theta ?? GEMMA.global;
  const localTheta = local.rope_theta ?? c.rope_local_base_freq ?? GEMMA.local;
  if (ropeScaling(local, c, headSize, path))
    throw new UserError(`${path}: a RoPE scaling of the sliding-window layers is not supported`);
  return { theta, localTheta, scaling: ropeScaling(full, c, headSize, path) };
}

const SUPPORTED = 'supported are linear, dynamic, llama3, yarn and longrope';

function ropeScaling(s: Scaling, c: Fields, headSize: number, path: string): RopeConfig['scaling'] {
  const type = s.rope_type ?? s.type ?? 'default';
  const needed = <T>(value: T | null | undefined, field: string): T => {
    if (value === null || value === undefined)
      throw new UserError(`${path}: the RoPE scaling "${type}" lacks its ${field}`);
    return value;
  };
  const partial = s.partial_rotary_factor ?? c.partial_rotary_factor ?? 1;
  if (partial !== 1)
    throw new UserError(`${path}: a RoPE on a part of each head (partial_rotary_factor) is not supported`);
  const original = s.original_max_position_embeddings ?? c.max_position_embeddings;
  switch (type) {
    case 'default':
    case 'mrope':
      return undefined;
    case 'linear':
      return { type, factor: needed(s.factor, 'factor') };
    case 'dynamic':
      return { type, factor: needed(s.factor, 'factor'), originalContextLength: c.max_position_embeddings };
    case 'llama3':
      return {
        type,
        factor: needed(s.factor, 'factor'),
        lowFrequencyFactor: needed(s.low_freq_factor, 'low_freq_factor'),
        highFrequencyFactor: needed(s.high_freq_factor, 'high_freq_factor'),
        originalContextLength: original,
      };
    case 'yarn':
      return yarn(s, s.factor ?? c.max_position_embeddings / original, original);
    case 'longrope': {
      const [short, long] = [needed(s.short_factor, 'short_factor'), needed(s.long_factor, 'long_factor')];
      if (short.length !== headSize / 2 || long.length !== headSize / 2)
        throw new UserError(
          `${path}: the RoPE scaling has ${short.length} and ${long.length} factors for ${headSize / 2} frequencies`,
        );
      const factor = s.factor ?? c.max_position_embeddings / original;
      const attentionFactor =
        s.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
      return { type, short, long, originalContextLength: original, attentionFactor };
    }
    default:
      throw new UserError(`${path}: the RoPE scaling "${type.slice(0, 40)}" is not supported; ${SUPPORTED}`);
  }
}

function yarn(s: Scaling, factor: number, originalContextLength: number): RopeConfig['scaling'] {
  const scale = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  const ratio = s.mscale && s.mscale_all_dim ? scale(s.mscale) / scale(s.mscale_all_dim) : undefined;
  return {
    type: 'yarn',
    factor,
    originalContextLength,
    attentionFactor: s.attention_factor ?? ratio,
    betaFast: s.beta_fast || undefined,
    betaSlow: s.beta_slow || undefined,
    truncate: s.truncate ?? undefined,
  };
}
