import type { AdapterOptions, SiteShape } from '../../src-main/effilora/types.ts';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import type { Products } from '../../src-main/engine/products.ts';
import type { WeightFormat } from '../../src-main/models/weight-format.ts';

/** One configuration of our side of the benchmark. */
export interface OurOptions {
  model: string;
  precision: Products;
  rows: number;
  length: number;
  rank: number;
  heads: number;
  /** share of the heads that are frozen after the first step */
  frozen: number;
  /** how they are chosen; default topk */
  policy?: 'topk' | 'prefix';
  /** whether they are frozen before the first step, as in a run that goes on; default false */
  frozenBefore?: boolean;
  recompute: boolean | number;
  /** how frozen weights are held; default as they lie in the file */
  weights?: WeightFormat;
  /** at the beginning of each row, of a model that takes pictures; default 0 */
  pictures?: number;
  /** whether they are others at each step, so that none was seen before; default false */
  freshPictures?: boolean;
  /** whether the tower is adapted, too; default false */
  tower?: boolean;
  threads: number;
}

/** One configuration of PyTorch's side. */
export interface PeerOptions {
  config: Record<string, number | boolean>;
  precision: 'f32' | 'bf16';
  rows: number;
  length: number;
  rank: number;
  checkpointing: boolean;
  compile: boolean;
  /** what it sees pictures with, as transformers' Idefics3Config has it, and how many stand at the beginning of each row */
  vision?: {
    config: Record<string, number | string>;
    scale: number;
    imageToken: number;
    pictures: number;
    tokensAPicture: number;
  };
  threads: number;
}

/** One configuration of both sides of the diffusion benchmark. */
export interface DiffusionOptions {
  /** a pipeline that make_pipeline.py has written */
  folder: string;
  /** training steps, or pictures from texts */
  work: 'train' | 'paint';
  pictures: number;
  /** pixels a side */
  size: number;
  /** pixels a side that become one latent */
  factor: number;
  /** of a text */
  tokens: number;
  /** of a painting */
  steps: number;
  rank: number;
  heads: number;
  recompute: boolean;
  /** how our side holds frozen weights; default as they lie in the file */
  weights?: WeightFormat;
  threads: number;
}

/** The adapter both sides of our comparisons train. */
export function adapterStructure(
  { rank, heads }: Pick<OurOptions, 'rank' | 'heads'>,
  tower: SiteShape[] = [],
): AdapterOptions {
  const targets = [...DECODER_SITES, ...new Set(tower.map(({ site }) => site))];
  return {
    name: 'effilora',
    ...{ rank, heads, alpha: 2 * rank, targets },
    ...{ share: 'global', router: 'site', dropout: 0, rsLora: false, dora: false },
  };
}
