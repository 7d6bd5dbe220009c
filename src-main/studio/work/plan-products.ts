import type { PlanRequest } from '../../../src-preload/contract/index.ts';
import type { ModelFacts } from '../../effilora/memory-plan.ts';
import { PRODUCTS, type Products } from '../../engine/products.ts';
import { quickestProducts } from '../../engine/quickest-products.ts';
import type { EngineStatus } from '../../engine/types.ts';

/** What a plan's products are in. */
export interface ChosenProducts {
  products: Products;
  /** asked for by the user */
  isOwn: boolean;
  /** a sentence on why it is not f32 */
  reason?: string;
}

export const IN_FLOATS: ChosenProducts = { products: 'f32', isOwn: false };

/**
 * What the user asks for, else what is quickest on this machine by a short measurement: integers end within half a percent of the held-out
 * loss (docs/structure.md). Of models with pictures that was not measured, and weights that are to lie in floating point can't be
 * multiplied so: f32.
 */
export async function productsFor(
  fixed: PlanRequest['fixed'],
  engine: EngineStatus,
  { seeing }: ModelFacts,
): Promise<ChosenProducts> {
  const wanted = PRODUCTS.find((each) => each === fixed['training.precision']);
  if (wanted) return { products: wanted, isOwn: true };
  const weights = fixed['training.weights'];
  if (seeing || weights === 'f32' || weights === 'bf16') return IN_FLOATS;
  const { products, times } = await quickestProducts(engine);
  if (products === 'f32') return IN_FLOATS;
  const reason = `Frozen weights are multiplied in integers (${products}): ${times.toFixed(1)} times as fast as in f32 on this machine, by a short measurement, with next to no change in what is learned. f32 rounds nothing, and takes longer.`;
  return { products, isOwn: false, reason };
}
