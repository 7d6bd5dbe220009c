import { z } from 'zod';

export const curvePoint = z.object({
  order: z.enum(['importance', 'random']),
  /** of the random order */
  seed: z.number(),
  /** share of all heads left out */
  ratio: z.number(),
  dropped: z.number(),
  loss: z.number(),
});
export type CurvePoint = z.infer<typeof curvePoint>;

/** A curve measured before. */
export const dropCurve = z.object({
  data: z.string(),
  examples: z.number(),
  renormalize: z.boolean(),
  points: z.array(curvePoint),
  createdAt: z.number(),
});
export type DropCurve = z.infer<typeof dropCurve>;
