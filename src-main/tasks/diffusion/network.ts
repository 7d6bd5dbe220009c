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
    this.shapes = model.sites();
  }

  get architecture(): string {
    return this.model.architecture;
  }

  get blocks(): number {
    return this.model.blocks;
  }

  /** A UNet's: the way down, the middle, the way up. */
  get blockNames(): string[] | undefined {
    const names: string[] = [];
    for (const { group, block, path } of this.shapes) if (group === 'unet') names[block] ??= levelName(path);
    return names.length > 0 ? names : undefined;
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
    return this.model.texts.groups.some((group) => adaptation?.adapts?.(group));
  }

  /** How many rows of each name the linears see of a batch. */
  rows({ pictures, height, width, texts }: NoisedBatch): Record<string, number> {
    const { network, texts: own } = this.model;
    const tokens = 'captions' in texts ? own.length : texts.context.length / network.contextWidth / pictures;
    const counts = network.rows({ pictures, height, width, text: tokens });
    if ('captions' in texts) for (const group of own.groups) counts[group] = pictures * tokens;
    return counts;
  }

  dispose(): void {
    this.parts.dispose();
    this.model.dispose();
  }
}

/** `down_blocks.0.attentions.1…` -> 'down 1' */
function levelName(path: string): string {
  const [, way, level] = /^(down|up)_blocks\.(\d+)\./.exec(path) ?? [];
  return way ? `${way} ${Number(level) + 1}` : 'middle';
}
