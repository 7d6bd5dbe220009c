import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { SiteShape } from '../effilora/types.ts';
import type { Feeds } from '../models/feeds.ts';
import type { Adaptation } from '../models/types.ts';

/** A frozen model that an adapter is trained on. */
export interface TrainableModel {
  /** its family, as adapter.json names it */
  readonly architecture: string;
  /** blocks that its sites lie in */
  readonly blocks: number;
  /** all it is frozen in: what is compiled for one model finds each other by it */
  readonly weights: object;
  /** its large matrices */
  readonly matrices: { shape: number[] }[];
  /** everything that can be adapted, block by block */
  sites(): SiteShape[];
  /** the frozen weight of a site, [in, out]; the caller disposes it */
  siteWeight(site: SiteShape): Tensor2D;
  dispose(): void;
}

/** How blocks go through forward and backward. */
export interface Passes {
  adaptation?: Adaptation;
  /** keep only the input of every so many blocks for backward (true: of each); false: keep all */
  recompute: boolean | number;
  /** so many blocks from the bottom have no backward pass; default 0 */
  withoutBackward?: number;
}

/**
 * What training makes smaller: a sum over the terms of a batch (for language -log p of its label tokens). A step takes the sum over its
 * micro-batches, divided by all their terms.
 */
export interface Objective<Batch, Tensors extends object> {
  readonly model: TrainableModel;
  /** said of a step that has not a single term: what it has, and what to do */
  readonly withoutTerms: string;
  terms(batch: Batch): number;
  /** a number for each row that the adapted linears see: 1, or 0 for padding */
  units(batch: Batch): Uint8Array;
  /** the batch on the engine; dispose it */
  tensors(batch: Batch): Tensors;
  /** the batch as graphs take it, so that few serve all: `isOpen` without padding, else padded to one of few sizes */
  forGraph(batch: Batch, isOpen: boolean): Batch;
  /** what a graph is fed of such a batch; `isOpen`: another number of rows at every run */
  feeds(batch: Batch, isOpen: boolean): Feeds;
  /** the fed batch again, as tensors of a pass */
  fed(inputs: Record<string, Tensor>, batch: Batch, isOpen: boolean): Tensors;
  /** the sum over the batch's terms; differentiable with respect to the adaptation's variables */
  lossSum(tensors: Tensors, passes: Passes): Scalar;
}
