import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { headsPerSite } from './methods/structure.ts';
import { headName, type SiteId, siteName } from './names.ts';
import type { AdapterOptions, HeadName, SiteShape } from './types.ts';

/** Heads left out of the forward pass (docs/method.md, Drop). */
export interface Drop {
  heads: ReadonlySet<HeadName>;
  /** the softmax runs over the heads that stay; else the dropped ones contribute zero */
  renormalize: boolean;
}

/** None is left out. */
export const ALL_STAY: Drop = { heads: new Set(), renormalize: false };

/** What leaves heads out at the sites that lose some: numbers that the forward pass adds and multiplies. */
export class DroppedHeads {
  readonly #bias = new Map<string, Tensor2D>();
  readonly #mask = new Map<string, Tensor2D>();

  constructor(
    sites: SiteShape[],
    options: AdapterOptions,
    readonly drop: Drop,
  ) {
    if (drop.heads.size === 0) return;
    for (const shape of sites) {
      const heads = Array.from({ length: headsPerSite(options) }, (_, head) => headName({ ...shape, head }));
      const stays = heads.map((name) => !drop.heads.has(name));
      if (stays.every(Boolean)) continue;
      const perRank = stays.flatMap((stay) => new Array<number>(options.rank).fill(Number(stay)));
      this.#mask.set(siteName(shape), tf.tensor2d([perRank]));
      if (!drop.renormalize || !stays.some(Boolean)) continue;
      const bias = [...new Array<number>(options.rank).fill(0), ...stays.map((stay) => (stay ? 0 : -1e9))];
      this.#bias.set(siteName(shape), tf.tensor2d([bias]));
    }
  }

  get isEmpty(): boolean {
    return this.drop.heads.size === 0;
  }

  /** [1, rank + N], added to (A x | router x) where the softmax runs over the heads that stay */
  biasOf(site: SiteId): Tensor2D | undefined {
    return this.#bias.get(siteName(site));
  }

  /** [1, N * rank], multiplied with the weighted heads */
  maskOf(site: SiteId): Tensor2D | undefined {
    return this.#mask.get(siteName(site));
  }

  dispose(): void {
    for (const tensors of [this.#bias, this.#mask]) tensors.forEach((tensor) => tensor.dispose());
  }
}
