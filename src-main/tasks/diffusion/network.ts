import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { SiteShape } from '../../effilora/types.ts';
import type { DiffusionModel } from '../../models/diffusion/pipeline/model.ts';
import type { Adaptation } from '../../models/types.ts';
import type { TrainableModel } from '../task.ts';
import { ModelParts } from './frozen-parts.ts';
import type { NoisedBatch } from './noised.ts';

/** A diffusion model as what an adapter is trained on. */
export class DiffusionNetwork implements TrainableModel {
  /** those that don't learn */
  readonly parts: ModelParts;
  private readonly shapes: SiteShape[];

  constructor(readonly model: DiffusionModel) {
    this.parts = new ModelParts(model);
    const levels = model.unet.config.down.length;
    this.shapes = model.sites().map((site) => (site.group === 'unet' ? { ...site, rows: rowsNamed(site, levels) } : site)); // prettier-ignore
  }

  get architecture(): string {
    return this.model.architecture;
  }

  get blocks(): number {
    return this.model.blocks;
  }

  get weights(): object {
    return this.model.weights;
  }

  get matrices(): { shape: number[] }[] {
    return this.model.matrices;
  }

  sites(): SiteShape[] {
    return this.shapes;
  }

  siteWeight(site: SiteShape): Tensor2D {
    return this.model.siteWeight(site);
  }

  /** Whether texts are read otherwise with an adaptation. */
  readsAnew(adaptation: Adaptation | undefined): boolean {
    return this.model.texts.encoders.some(({ group }) => adaptation?.adapts?.(group));
  }

  /** How many rows of each name the linears see of a batch. */
  rows({ pictures, height, width, texts }: NoisedBatch): Record<string, number> {
    const { unet, texts: own } = this.model;
    const tokens = pictures * own.length;
    const counts: Record<string, number> = { [CONTEXT]: tokens };
    if ('captions' in texts) for (const { group } of own.encoders) counts[group] = tokens;
    for (let level = 0; level < unet.config.down.length; level++)
      counts[levelRows(level)] = pictures * (height >> level) * (width >> level);
    return counts;
  }

  dispose(): void {
    this.parts.dispose();
    this.model.dispose();
  }
}

/** The tokens of the text as the UNet reads them, and the pixels of a level, which are halved so often. */
const CONTEXT = 'unet.text';
const levelRows = (level: number) => `unet.level${level}`;

function rowsNamed({ path, reads }: Pick<SiteShape, 'path' | 'reads'>, levels: number): string {
  if (reads === 'context') return CONTEXT;
  const [, way, digits] = /^(down|up)_blocks\.(\d+)\./.exec(path) ?? [];
  if (way === undefined) return levelRows(levels - 1);
  return levelRows(way === 'down' ? Number(digits) : levels - 1 - Number(digits));
}
