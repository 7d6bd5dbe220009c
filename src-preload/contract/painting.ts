import { z } from 'zod';
import { SAMPLERS } from './choices.ts';

export const seed = z
  .number()
  .int()
  .min(0)
  .max(2 ** 31)
  .default(0);

const side = z.number().int().min(16).max(4096).optional();

/** How a picture is painted; what is missing is as usual for the model. */
export const painting = z.object({
  prompt: z.string().max(10_000),
  negative: z.string().max(10_000).default(''),
  seed,
  steps: z.number().int().min(1).max(500).default(20),
  guidance: z.number().min(0).max(100).optional(),
  sampler: z.enum(SAMPLERS).optional(),
  ...{ width: side, height: side },
});
export type Painting = z.input<typeof painting>;

/** A picture, a PNG as a data URL. */
export const painted = z.object({
  url: z.string().startsWith('data:image/png;base64,'),
  width: z.number(),
  height: z.number(),
});
