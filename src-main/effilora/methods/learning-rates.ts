import type { MethodName } from '../types.ts';

/**
 * Where a recipe names no learning rate: the best of those measured for each method (docs/quality.md). With one A for all layers
 * and fewer heads in training an update moves EffiLoRA's product less than LoRA's, so it takes the larger rate.
 * AdaLoRA's and VeRA's were measured in 32 steps (docs/structure.md, Rates of other methods).
 */
export const DEFAULT_LEARNING_RATES: Record<MethodName, number> = {
  lora: 5e-4,
  hydralora: 1e-3,
  effilora: 2e-3,
  adalora: 8e-3,
  vera: 4e-2,
};

/** And for a model that makes pictures: those usual for LoRA there, in the same ratios; the methods that are there for it. */
export const PICTURE_LEARNING_RATES: Partial<Record<MethodName, number>> = {
  lora: 2e-4,
  hydralora: 4e-4,
  effilora: 8e-4,
};
