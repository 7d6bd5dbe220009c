import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../effilora/adapter.ts';
import type { AdamW, BlockNumbers } from '../effilora/adamw.ts';
import { tokenNoise } from '../effilora/dropout.ts';
import { headsPerSite, LANGUAGE, layerOfHead } from '../effilora/methods/structure.ts';
import { rowsOf } from '../effilora/names.ts';
import type { RankAllocator } from '../effilora/rank-allocator.ts';
import type { Reducer } from '../effilora/reducer.ts';
import type { HeadName, RowInputs, StepInputs } from '../effilora/types.ts';
import { NotRecordable, stepCompiler } from '../engine/compiler.ts';
import { hasHalfPrecision } from '../engine/fused-kernels.ts';
import { type Products, withProducts } from '../engine/products.ts';
import { UserError } from '../engine/types.ts';
import type { Objective, TrainableModel } from '../tasks/task.ts';
import { partsOf, partUnits } from './parts.ts';
import { CompiledTraining } from './compiled-step.ts';
import { giveBackMemory } from './give-back-memory.ts';
import {
  applyGradients,
  microBatchGradients,
  shareWeights,
  type MicroBatchGradients,
  type StepNumbers,
} from './gradients.ts';

/** Of a whole step, as its objective counts them. */
interface Counts {
  terms: number;
  units: number;
  /** of the rows of other parts of the model, by their name */
  parts: Record<string, number>;
}

const noNumber = (step: number, loss: number) =>
  new UserError(
    `The loss of step ${step} is ${loss}: the adapter stays as it was before this step. Lower the learning rate, or look for broken examples in the dataset.`,
  );

/** What a step tells of itself. */
export interface StepReport {
  /** mean over the step's terms, before the update */
  loss: number;
  /** global norm of the gradients that update something, before clipping */
  gradNorm: number;
  terms: number;
  units: number;
  /** of the step, which went into what later steps needn't make again */
  readySeconds: number;
  /** in force during the step */
  frozen: HeadName[];
  /** mean omega over the step's units, by head; undefined without a router or where not asked for */
  routerShare?: Float32Array;
}

export interface StepOptions {
  /** measure the router's share: a small extra product in backward */
  routerShare: boolean;
  /** keep only the input of every so many blocks for backward (true: of each); auto: of each where steps are not compiled */
  recompute: boolean | number | 'auto';
  /** of dropout */
  seed: number;
  /** of the large products: bf16 where the engine has it or f16; default f32 */
  precision?: Products;
  /** compile steps where the engine can; default true */
  compile?: boolean;
  /** told once when a step can't be compiled */
  warn?: (line: string) => void;
}

/**
 * One training step over its micro-batches:
 *
 *     gradients of (sum of the losses / the whole step's terms)  ->  observe every head that has one
 *     ->  clip  ->  AdamW on what is not frozen  ->  select, and choose ranks
 */
export class TrainingStep<Batch = unknown, Tensors extends object = object> {
  constructor(
    readonly objective: Objective<Batch, Tensors>,
    readonly adapter: Adapter,
    readonly optimizer: AdamW,
    readonly reducer: Reducer,
    readonly options: StepOptions,
    /** what chooses ranks, where the method does */
    readonly allocator?: RankAllocator,
  ) {}

  get model(): TrainableModel {
    return this.objective.model;
  }

  /**
   * Runs step `step` (1-based) on the engine in use and updates adapter, optimizer and Reducer.
   * @throws UserError when the loss is no number; nothing has been updated then
   */
  async run(step: number, given: Batch[], learningRate: number): Promise<StepReport> {
    const { adapter, objective, reducer, allocator } = this;
    const started = performance.now();
    const batches: Batch[] = [];
    for (const batch of given) batches.push((await objective.ready?.(batch, adapter)) ?? batch);
    // Compiling the first step takes much memory of its own.
    if (objective.ready && this.#compiled === undefined) giveBackMemory();
    const readySeconds = (performance.now() - started) / 1000;
    const terms = batches.reduce((sum, batch) => sum + objective.terms(batch), 0);
    const units = batches.reduce((sum, batch) => objective.units(batch).reduce((all, unit) => all + unit, sum), 0);
    const parts = partUnits(batches.map((batch) => partsOf(objective, adapter, batch)));
    if (terms === 0) throw new UserError(`Step ${step} has ${objective.withoutTerms}`);
    const frozen = reducer.frozen;
    const below = reducer.layersWithoutBackward(step);
    const numbers = await this.#numbers(step, batches, learningRate, { terms, units, parts });
    const [gradNorm, ...heads] = numbers.report;
    reducer.observe(step, heads.slice(0, adapter.heads.length));
    reducer.select(step);
    const ranked = heads.length - (allocator?.triplets ?? 0);
    allocator?.after(step, Float32Array.from(heads.slice(ranked)));
    const routerShare = this.#routerShare(heads.slice(adapter.heads.length, ranked), below, parts);
    return { loss: numbers.loss, gradNorm: gradNorm!, terms, units, readySeconds, frozen, routerShare };
  }

  /**
   * The router's share of every head; no number where the share, a gradient, was not measured: in layers without backward, and in
   * parts of the model that the step had nothing for.
   */
  #routerShare(shares: ArrayLike<number>, withoutBackward: number, parts: Counts['parts']): Float32Array | undefined {
    if (!this.options.routerShare || shares.length === 0) return undefined;
    const { heads, sites, options } = this.adapter;
    const isMeasured = (head: number) => {
      const site = sites[Math.floor(head / headsPerSite(options))]!;
      return site.group === LANGUAGE ? layerOfHead(heads[head]!) >= withoutBackward : rowsOf(site) in parts;
    };
    return Float32Array.from(shares, (share, head) => (isMeasured(head) ? share : NaN));
  }

  /** What the layers do in `step`: those frozen whole have no backward pass, or one that only observes their heads. */
  #passes(step: number): { withoutBackward: number; teaches?: Float32Array } {
    const { reducer, model } = this;
    const withoutBackward = reducer.layersWithoutBackward(step);
    if (withoutBackward > 0 || reducer.frozenLayers === 0) return { withoutBackward };
    return {
      withoutBackward,
      teaches: Float32Array.from({ length: model.blocks }, (_, l) => Number(!reducer.isLayerFrozen(l))),
    };
  }

  /** Loss and report of the step, compiled where the engine can do that; the update is done. */
  async #numbers(step: number, batches: Batch[], learningRate: number, counts: Counts): Promise<StepNumbers> {
    const compiled = this.#compiledTraining();
    if (!compiled) return this.#eager(step, batches, learningRate, counts);
    const rows = this.optimizer.numbers(learningRate, this.reducer);
    const numbers = Float32Array.from(rows.flatMap((tensor) => [...tensor.dataSync()]));
    tf.dispose(rows);
    const { seed } = this.options;
    const noise = (index: number, rows: number, part?: string) => {
      const tensor = tokenNoise(seed, step, index, rows, part);
      const values = tensor.dataSync() as Float32Array;
      tensor.dispose();
      return values;
    };
    const dropout = this.adapter.options.dropout > 0 ? noise : undefined;
    const observed = this.reducer.observed(step);
    try {
      const result = await compiled.run({
        batches,
        ...counts,
        ...this.#passes(step),
        observed,
        numbers,
        dropout,
        ranks: this.allocator?.inputs(step),
      });
      if (!Number.isFinite(result.loss)) throw noNumber(step, result.loss);
      return result;
    } catch (error) {
      this.optimizer.takeBack(this.reducer);
      if (!(error instanceof NotRecordable)) throw error;
      this.options.warn?.(`Steps are not compiled, which is slower: ${error.message}`);
      this.#compiled = null;
      return this.#eager(step, batches, learningRate, counts);
    }
  }

  /** null: can't be compiled */
  #compiled: CompiledTraining<Batch, Tensors> | null | undefined;

  #compiledTraining(): CompiledTraining<Batch, Tensors> | null {
    if (this.#compiled !== undefined) return this.#compiled;
    const compiler = this.options.compile === false ? undefined : stepCompiler();
    const { objective, adapter, optimizer, options } = this;
    if (!compiler && options.precision === 'bf16' && !hasHalfPrecision())
      options.warn?.('Products are in f32: this engine has neither bf16 nor f16 here');
    this.#compiled = compiler
      ? new CompiledTraining(
          compiler,
          objective,
          adapter,
          optimizer,
          {
            precision: options.precision ?? 'f32',
            recompute: options.recompute !== 'auto' && options.recompute,
          },
          this.allocator,
        )
      : null;
    return this.#compiled;
  }

  /** Frees what steps keep on the engine beside adapter and optimizer. */
  dispose(): void {
    this.#compiled?.dispose();
    this.#compiled = undefined;
  }

  async #eager(step: number, batches: Batch[], learningRate: number, counts: Counts): Promise<StepNumbers> {
    let total: MicroBatchGradients | undefined;
    for (const [index, batch] of batches.entries()) {
      total = addTo(total, this.#microBatch(step, index, batch, counts));
    }
    const { loss, gradients } = total!;
    try {
      const [lossValue] = await loss.data();
      if (!Number.isFinite(lossValue!)) throw noNumber(step, lossValue!);
      const numbers = this.optimizer.numbers(learningRate, this.reducer);
      const observed = this.#update(step, gradients, numbers);
      const report = Float32Array.from(await observed.data());
      observed.dispose();
      return { loss: lossValue!, report };
    } finally {
      tf.dispose([loss, ...gradients]);
    }
  }

  #microBatch(step: number, index: number, batch: Batch, counts: Counts): MicroBatchGradients {
    const { adapter, objective, options } = this;
    const tensors = objective.tensors(batch);
    const inputs = this.#inputs(step, index, batch, counts);
    const recompute = options.recompute === 'auto' || options.recompute;
    const { withoutBackward } = this.#passes(step);
    adapter.step = inputs;
    try {
      const passes = { recompute, withoutBackward };
      const gradients = () => microBatchGradients(objective, adapter, tensors, tf.scalar(1 / counts.terms), passes);
      return tf.tidy(() => withProducts(options.precision ?? 'f32', gradients));
    } finally {
      adapter.step = undefined;
      tf.dispose(tensors as tf.TensorContainer);
      tf.dispose(inputs as unknown as tf.TensorContainer);
    }
  }

  #inputs(step: number, index: number, batch: Batch, counts: Counts): StepInputs {
    const { adapter, objective, reducer, options } = this;
    const heads = headsPerSite(adapter.options);
    const observed = reducer.observed(step);
    const { teaches } = this.#passes(step);
    const inputsOf = (units: Uint8Array, all: number, part?: string): RowInputs => ({
      shareWeight: options.routerShare ? tf.tensor2d(shareWeights(units, all), [units.length, 1]) : undefined,
      dropout: adapter.options.dropout > 0 ? tokenNoise(options.seed, step, index, units.length, part) : undefined,
    });
    const parts = Object.entries(partsOf(objective, adapter, batch));
    return {
      active: adapter.sites.map((_, site) => tf.tensor1d(observed.slice(site * heads, (site + 1) * heads))),
      ...inputsOf(objective.units(batch), counts.units),
      parts: Object.fromEntries(parts.map(([part, units]) => [part, inputsOf(units, counts.parts[part]!, part)])),
      teaches: teaches && tf.tensor1d(teaches),
    };
  }

  #update(step: number, gradients: Tensor2D[], numbers: BlockNumbers): Tensor1D {
    return tf.tidy(() => {
      const { allocator } = this;
      const inputs = allocator?.inputs(step);
      const told = inputs && {
        kept: tf.tensor1d(inputs.kept),
        edge: tf.tensor1d(inputs.edge, 'int32'),
        chooses: tf.tensor1d(inputs.chooses),
      };
      const choice = allocator && told && { allocator, told };
      const { report, updates } = applyGradients(this.adapter, this.optimizer, gradients, numbers, choice);
      for (const [variable, value] of updates) variable.assign(value);
      tf.dispose(numbers);
      return report;
    });
  }
}

function addTo(total: MicroBatchGradients | undefined, next: MicroBatchGradients): MicroBatchGradients {
  if (!total) return next;
  const sum = {
    loss: tf.add<Scalar>(total.loss, next.loss),
    gradients: total.gradients.map((gradient, k) => tf.add<Tensor2D>(gradient, next.gradients[k]!)),
  };
  tf.dispose([total.loss, ...total.gradients, next.loss, ...next.gradients]);
  return sum;
}
