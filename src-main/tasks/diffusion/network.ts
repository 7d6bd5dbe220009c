import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { SiteShape } from '../../effilora/types.ts';
import type { UNet } from '../../models/diffusion/unet/unet.ts';
import type { TrainableModel } from '../task.ts';
import type { NoisedBatch } from './batch.ts';

/** A UNet as what an adapter is trained on. */
export class NoiseNetwork implements TrainableModel {
  readonly blocks: number;
  readonly weights: object;
  /** nothing of a UNet takes another number of rows in one graph */
  readonly matrices = [];
  private readonly shapes: SiteShape[];

  /** @param architecture as adapter.json names the family */
  constructor(
    readonly unet: UNet,
    readonly architecture: string,
  ) {
    this.weights = unet.tensors;
    this.blocks = unet.layout.blocks;
    this.shapes = unet.sites().map((site) => ({ ...site, rows: rowsNamed(site, unet.config.down.length) }));
  }

  sites(): SiteShape[] {
    return this.shapes;
  }

  siteWeight(site: SiteShape): Tensor2D {
    return this.unet.siteWeight(site);
  }

  /** How many rows of each name the linears see of a batch. */
  rows({ pictures, height, width, context }: NoisedBatch): Record<string, number> {
    const counts: Record<string, number> = { [CONTEXT]: context.length / this.unet.config.contextWidth };
    for (let level = 0; level < this.unet.config.down.length; level++)
      counts[levelRows(level)] = pictures * (height >> level) * (width >> level);
    return counts;
  }

  dispose(): void {
    this.unet.dispose();
  }
}

/** The tokens of the text, and the pixels of a level, which are halved so often. */
const CONTEXT = 'unet.text';
const levelRows = (level: number) => `unet.level${level}`;

function rowsNamed({ path, reads }: Pick<SiteShape, 'path' | 'reads'>, levels: number): string {
  if (reads === 'context') return CONTEXT;
  const [, way, digits] = /^(down|up)_blocks\.(\d+)\./.exec(path) ?? [];
  if (way === undefined) return levelRows(levels - 1);
  return levelRows(way === 'down' ? Number(digits) : levels - 1 - Number(digits));
}
