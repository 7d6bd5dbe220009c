import { inHalfPrecision } from './fused-kernels.ts';
import { withIntegerProducts } from './integer-product.ts';

/** What the large products of a step may be in: `int8` those with frozen linears in integers (docs/method.md, Integer products), all else in f32. */
export const PRODUCTS = ['f32', 'bf16', 'int8'] as const;
export type Products = (typeof PRODUCTS)[number];

/** What answers may be written in. */
export const WRITTEN_IN = ['f32', 'int8'] as const satisfies readonly Products[];
export type WrittenIn = (typeof WRITTEN_IN)[number];

/** Does f, gradients included, with products as asked for, as far as that is decided here: a compiled step's bf16 is not. */
export function withProducts<T>(products: Products, f: () => T): T {
  if (products === 'int8') return withIntegerProducts(f);
  return products === 'bf16' ? inHalfPrecision(f) : f();
}
