import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { SitePart } from '../names.ts';
import type { AdapterOptions, SiteShape } from '../types.ts';
import type { SiteTensors, TensorSpec } from './tensors.ts';

/** A tensor of a site as its method asks for it; structure.ts gives it name and layer. */
export type PartSpec = Omit<TensorSpec, 'name' | 'layer' | 'role'> & { role: SitePart };

/** What a site multiplies with: a [r, in], b [N * r, out]. */
export interface LowRankPair {
  a: Tensor2D;
  b: Tensor2D;
}

/** What tells one method of adapting linears from another; everything else is the same for all (adapter.ts). */
export interface Method {
  /** whether a router weighs the heads of a site; without one a site has one head, and is exactly a plain LoRA */
  isRouted: boolean;
  /** which of a site's tensors its heads are, of those that learn */
  headsIn: SitePart;
  /** the names of a site's tensors; shared ones have the same name at several sites */
  names(shape: SiteShape, options: AdapterOptions): SiteTensors;
  /**
   * A site's tensors, in the order of the file.
   * @param sites all that are adapted
   * @throws UserError for a site that the method can't adapt
   */
  parts(shape: SiteShape, options: AdapterOptions, sites: SiteShape[]): PartSpec[];
  /** whether `pair` makes tensors that backward keeps */
  makesPair: boolean;
  /** whether every number's importance is followed (rank-allocator.ts), which takes two more numbers each */
  isFollowed: boolean;
  /** The pair that a site's tensors are, as they lie in memory; gradients flow to those that learn. Inside a tidy. */
  pair(parts: Record<SitePart, Tensor2D>, shape: SiteShape): LowRankPair;
}
