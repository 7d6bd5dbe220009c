import type { z } from 'zod';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { DatasetFacts, DatasetOptions, DatasetSource, OpenDataset } from '../data/dataset.ts';
import type { ExampleSource } from '../data/example-source.ts';
import type { ReadingOptions } from '../data/reading-options.ts';
import type { Adapter } from '../effilora/adapter.ts';
import type { EngineFacts, MemoryPlan, ModelFacts, RunShape } from '../effilora/memory-plan.ts';
import type { SeenFacts } from '../effilora/seen.ts';
import type { AdapterOptions, SiteShape, WholeTensor } from '../effilora/types.ts';
import type { Feeds } from '../models/feeds.ts';
import type { Adaptation, BaseModelFile, ModelFile } from '../models/types.ts';
import type { HeldFormat } from '../models/weight-format.ts';
import type { diffusionTrainingSchema } from '../recipe/diffusion.ts';
import type { Recipe } from '../recipe/recipe.ts';

/** A frozen model that an adapter is trained on. */
export interface TrainableModel {
  /** its family, as adapter.json names it */
  readonly architecture: string;
  /** blocks that its sites lie in */
  readonly blocks: number;
  /** of a network whose blocks lie at several sizes of picture: where each one lies, for people; else they have numbers alone */
  readonly blockNames?: string[];
  /** all it is frozen in: what is compiled for one model finds each other by it */
  readonly weights: object;
  /** its large matrices */
  readonly matrices: { shape: number[] }[];
  /** everything that can be adapted, block by block */
  sites(): SiteShape[];
  /** the frozen weight of a site, [in, out]; the caller disposes it */
  siteWeight(site: SiteShape): Tensor2D;
  /** what can be trained whole besides; absent: nothing */
  wholeTensors?(): WholeTensor[];
  /** one of these as it is frozen; the caller disposes it */
  wholeTensor?(name: string): Tensor;
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
export interface Objective<Batch = unknown, Tensors extends object = object> {
  readonly model: TrainableModel;
  /** said of a step that has not a single term: what it has, and what to do */
  readonly withoutTerms: string;
  terms(batch: Batch): number;
  /** a number for each row that the adapted linears see: 1, or 0 for padding */
  units(batch: Batch): Uint8Array;
  /** the same for the rows that other parts of the model see, by their names (effilora/names.ts `rowsOf`); those of a part that does not run are absent */
  parts?(batch: Batch): Record<string, Uint8Array>;
  /** the batch with what no pass has to make anew under this adaptation; missing: there is nothing of the kind */
  ready?(batch: Batch, adaptation: Adaptation): Promise<Batch>;
  /**
   * Makes beforehand what `ready` would make of these batches, so that no step waits for it and what makes it
   * needn't stay. `tell`: how far it is; missing: there is nothing of the kind.
   */
  beforehand?(
    batches: AsyncIterable<Batch>,
    adaptation: Adaptation,
    tell: (done: number, of: number) => void | Promise<void>,
  ): Promise<void>;
  /** the batch on the engine; dispose it */
  tensors(batch: Batch): Tensors;
  /** whether one graph may take any number of rows; false: one for each of few sizes */
  readonly anyLength: boolean;
  /** the batch as graphs take it, so that few serve all: `isOpen` without padding, else padded to one of few sizes */
  forGraph(batch: Batch, isOpen: boolean): Batch;
  /** what a graph is fed of such a batch; `isOpen`: another number of rows at every run */
  feeds(batch: Batch, isOpen: boolean): Feeds;
  /** the fed batch again, as tensors of a pass */
  fed(inputs: Record<string, Tensor>, batch: Batch, isOpen: boolean): Tensors;
  /** the adapted blocks alone, for whoever looks into them */
  forward(tensors: Tensors, passes: Passes): Tensor;
  /** the sum over the batch's terms; differentiable with respect to the adaptation's variables */
  lossSum(tensors: Tensors, passes: Passes): Scalar;
}

/** A recipe's data, split; its examples are read when they are needed. */
export interface RunData<Example = unknown> {
  datasets: DatasetFacts[];
  /** of each dataset the split that is held out; undefined where a part of its rows is */
  separate: (DatasetFacts | undefined)[];
  /** of all datasets, in their order */
  train: ExampleSource<Example>;
  /** how many of each dataset */
  sizes: number[];
  /** what evaluations are of: of the held-out examples training.evalExamples, by seed always the same ones */
  heldOut: ExampleSource<Example>;
  /** how many are held out in all */
  heldOutCount: number;
  /** the order of an epoch as batches of so many need it; missing: any order does */
  arranged?(batch: number): (order: number[]) => number[];
  /** the dataset, where training begins before it is read: what is above says then what is there of it */
  growing?: GrowingData;
  /** ends reading */
  close(): void;
}

/** A dataset that is learned from while it is read. */
export interface GrowingData {
  /** whether all of it was read */
  readonly isWhole: boolean;
  /** until so many examples are there, or all. @throws UserError where the rest can't be read */
  upTo(count: number): Promise<void>;
  /** until all of it was read. @throws UserError where it can't be, or loses too many of its rows */
  whole(): Promise<{ facts: DatasetFacts; count: number }>;
}

/** A micro-batch of a training: the run's seed, its step from 1 on, and the micro-batch from 0 on. */
export interface BatchPlace {
  seed: number;
  step: number;
  micro: number;
}

/** A loss over examples. */
export interface Evaluation {
  /** mean over the terms: for language over the label tokens of -log p(label) */
  loss: number;
  /** standard error of the loss, by example: how far it would lie elsewhere with others of their kind; null for a lone one */
  error: number | null;
  examples: number;
}

/** How a router shares its heads out as there is more noise in a picture. */
export interface SharesByTime {
  /** of blocks at several sizes of picture, where each one lies */
  blocks?: string[];
  /** of each place that sees the noise: the mean omega of each head in each part of all times, from nearly clean to nothing but noise */
  places: { block: number; site: string; shares: number[][] }[];
}

/** How something long is done: how far it is, and whether it is still wanted. */
export interface Watched {
  /** called after each part with how many are done, of all; where it throws, that is the end */
  told?(done: number, of: number): void | Promise<void>;
}

/** A loss over texts. */
export interface TextEvaluation extends Evaluation {
  /** e to the loss */
  perplexity: number;
  /** label tokens */
  tokens: number;
}

/** Examples that have a right answer. */
export interface Choices<Example = unknown, Model = TrainableModel> {
  /** an example's answer and the options to choose from, where it has them */
  of(example: Example): { answer: string; options: string[] } | undefined;
  /** its answer where that is short and is to be compared, and those of several people where they are known */
  written(example: Example): { expected: string; given?: string[] } | undefined;
  /** log-likelihood of what carries loss in each example, and how many tokens that is. Examples are gone through twice. */
  likelihoods(
    model: Model,
    examples: Iterable<Example>,
    adaptation?: Adaptation,
  ): Promise<{ sum: number; tokens: number }[]>;
  /** whether the answer that each example asks for, written token by token, is its own to the letter */
  toTheLetter(model: Model, examples: Iterable<Example>, adaptation?: Adaptation): Promise<boolean[]>;
  /** which candidate is the likeliest as an example's answer; `options`: how the example was read */
  likeliest(
    model: Model,
    example: Example,
    candidates: string[],
    options: DatasetOptions,
    adaptation?: Adaptation,
  ): Promise<string>;
}

/** An example's picture, for people. */
export interface ShownPicture {
  name: string;
  /** of its file */
  bytes: Uint8Array;
  /** that it becomes */
  tokens: number;
}

/** One line of samples.jsonl: what a model that writes answers to a held-out prompt at an evaluation. */
export interface TextSample {
  step: number;
  prompt: string;
  /** the pictures it is about, by name */
  pictures?: string[];
  /** before the first update: they in small, as data URLs, so that a run shows them wherever its data is later */
  thumbnails?: string[];
  answer: string;
  /** the dataset's own answer */
  expected: string;
}

/** And what one that makes pictures paints of a prompt. */
export interface PictureSample {
  step: number;
  prompt: string;
  negative: string;
  seed: number;
  guidance: number;
  sampler: string;
  /** of the sampler */
  steps: number;
  /** a PNG in the run's folder, by its path there */
  picture: string;
  /** pixels */
  width: number;
  height: number;
}

export type SampleLine = TextSample | PictureSample;

/** Keeps what is no text of a sample in a file of the run's folder, whole or not at all; gives its path there. */
export type KeepSample = (name: string, bytes: Uint8Array) => Promise<string>;

/** Prompts that a run is asked again and again. */
export interface Samples<Model = TrainableModel, Line extends SampleLine = SampleLine> {
  /** @param keep missing where samples are of texts alone */
  answer(step: number, model: Model, adaptation?: Adaptation, keep?: KeepSample): Promise<Line[]>;
}

/** What a run says of its samples. */
export type SamplesAsked = Pick<Recipe['training'], 'samples' | 'diffusion'>;

/** What a run takes, as its plan reckons. */
export interface RunCost {
  /** the predicted peak, by part */
  memory(recompute: boolean | number): MemoryPlan;
  /** floating-point operations of a step for each of its units, with blocks computed again or not */
  flopsPerUnit(recompute: boolean | number): number;
  /** how many blocks backward computes again together to keep within so many bytes; false: none has to be */
  recomputationFor(budgetBytes: number): number | false;
  /** and forward, of what an example brings to be seen */
  seenFlops: number;
  /** of a sample at most */
  sampleFlops: number;
  /** that are set up before the first step */
  blocks: number;
  /** floating-point operations of a held-out example in an evaluation, and of what is made once of an example; missing: its plan knows it otherwise */
  evaluationFlops?: number;
  onceFlops?: number;
}

/** How a dataset is to be read: of texts and of pictures, each for a model of its kind. */
export interface ReadingWish extends ReadingOptions {
  pictures?: z.input<typeof diffusionTrainingSchema>;
}

/** What a plan of texts reckons with. */
export interface TextPlanFacts {
  model(file: Pick<ModelFile, 'name' | 'config' | 'tensors' | 'sees'>): ModelFacts;
  /** what examples bring to be seen beside their tokens; undefined: nothing */
  seen(file: Pick<ModelFile, 'sees'>, examples: ExampleSource<unknown>): SeenFacts | undefined;
  /** a recipe's steps over examples of these sizes; recomputation is left to be chosen where it is auto */
  shape(
    recipe: Recipe,
    method: AdapterOptions,
    sizes: ArrayLike<number>,
    engine: EngineFacts,
    seen?: SeenFacts,
  ): RunShape;
  /** floating-point operations of a sample at most, from a model of so many parameters */
  sampleFlops(parameters: number): number;
}

/**
 * A kind of training: everything that the trainer and the studio don't know of it. What an example, a batch and a batch's tensors are,
 * and which models it trains, is its own; whoever holds a `Task` hands them from one of its functions to the next.
 */
export interface Task<
  Example = unknown,
  Batch = unknown,
  Tensors extends object = object,
  Model extends TrainableModel = TrainableModel,
  File extends BaseModelFile = BaseModelFile,
  Reading = unknown,
> {
  /** what a step's units are */
  readonly unit: 'tokens' | 'pictures';
  /** the base model on the engine in use. @throws UserError when the file lacks a tensor */
  load(file: File, format?: HeldFormat): Promise<Model>;
  /** a recipe's method as the options of a model's adapter. @throws UserError for what the model has no part for */
  adapterOptions(recipe: Recipe, model: Pick<TrainableModel, 'sites' | 'wholeTensors'>): AdapterOptions;
  /** fills in what a recipe leaves to the model, in place; missing: nothing is. @throws UserError for what the model can't do */
  complete?(recipe: Recipe, file: File): void;
  /** an adapter's structure as a recipe's method says it */
  methodOf(options: AdapterOptions): object;
  /** reads and splits a recipe's datasets. @throws UserError */
  examples(recipe: Recipe, file: File): Promise<RunData<Example>>;
  /** how a dataset is read for a model where no recipe says it. @throws UserError for what the model can't do */
  reading(file: File, wanted?: ReadingWish): Reading;
  /** reads one dataset to be measured on; `index` is its place in a mix. @throws UserError */
  dataset(source: DatasetSource, index: number, file: File, options: Reading): Promise<OpenDataset<Example>>;
  /** the first rows of a large dataset, the whole of a small one; there may be no example among them. @throws UserError */
  sample(
    source: DatasetSource,
    index: number,
    file: File,
    options: Reading,
  ): Promise<OpenDataset<Example> & { whole: boolean }>;
  /** what becomes of a dataset's rows. @throws UserError as `dataset` does */
  measure(source: DatasetSource, file: File, options: Reading): Promise<DatasetFacts>;
  /** the first `most` of the pictures that an example is about; missing where a task has none. @throws UserError */
  pictures?(example: Example, most: number): Promise<ShownPicture[]>;
  /**
   * What a micro-batch is made of these examples; pictures of theirs are read then.
   * @param at where it stands in a training: whatever is drawn for it follows from this; missing outside one
   * @throws UserError where they can't be read
   */
  batch(
    examples: Example[],
    training: Pick<Recipe['training'], 'packing' | 'sequenceLength' | 'diffusion'>,
    at?: BatchPlace,
  ): Batch | Promise<Batch>;
  objective(model: Model): Objective<Batch, Tensors>;
  evaluate(model: Model, examples: Iterable<Example>, adaptation?: Adaptation): Promise<Evaluation>;
  /** what `evaluate` evaluates, in batches small enough for a backward pass; each is made when its turn comes */
  evaluated(examples: Iterable<Example>): (() => Batch | Promise<Batch>)[];
  /** the router's shares over so many equal parts of the time of noise; missing where a task has none. @throws UserError where there is no router */
  sharesByTime?(
    model: Model,
    examples: Iterable<Example>,
    adapter: Adapter,
    parts: number,
    watched: Watched,
  ): Promise<SharesByTime>;
  /** prompts of the recipe, else the first `samples` of the held-out examples that can be asked */
  samples(file: File, heldOut: Iterable<Example>, asked: SamplesAsked): Samples<Model>;
  /** what a recipe's steps over these examples take */
  cost(recipe: Recipe, method: AdapterOptions, file: File, train: ExampleSource<unknown>, engine: EngineFacts): RunCost;
  /** bytes that the frozen weights take of an engine's memory at least: as in the file where it has products with that, else in f32 */
  heldBytes(file: File, engine: Pick<EngineFacts, 'precisions'>): number;
}

/** A task whose models answer in texts. */
export interface TextTask<
  Example = unknown,
  Batch = unknown,
  Tensors extends object = object,
  Model extends TrainableModel = TrainableModel,
> extends Task<Example, Batch, Tensors, Model, ModelFile, DatasetOptions> {
  evaluate(model: Model, examples: Iterable<Example>, adaptation?: Adaptation): Promise<TextEvaluation>;
  samples(file: ModelFile, heldOut: Iterable<Example>, asked: SamplesAsked): Samples<Model, TextSample>;
  readonly choices: Choices<Example, Model>;
  readonly plan: TextPlanFacts;
}
