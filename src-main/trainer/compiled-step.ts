import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../effilora/adapter.ts';
import type { AdamW } from '../effilora/adamw.ts';
import type { RankAllocator, RankInputs, RankTensors } from '../effilora/rank-allocator.ts';
import type { RowInputs } from '../effilora/types.ts';
import { headsPerSite } from '../effilora/methods/structure.ts';
import type { CompiledStep, StepCompiler } from '../engine/compiler.ts';
import { fusedKernels, takesAnyLength } from '../engine/fused-kernels.ts';
import { type Products, withProducts } from '../engine/products.ts';
import { VARYING } from '../engine/varying-size.ts';
import { exampleTensors, feedsKey, type Feeds } from '../models/feeds.ts';
import type { Objective } from '../tasks/task.ts';
import { partsOf } from './parts.ts';
import { applyGradients, microBatchGradients, shareWeights, type StepNumbers } from './gradients.ts';

/** What changes from step to step. */
export interface StepValues<Batch> {
  batches: Batch[];
  /** of all batches, as the objective counts them */
  terms: number;
  units: number;
  /** units of the other parts of the model, by their group */
  parts: Record<string, number>;
  /** [heads of the model]: 1 where a head's gradient is computed */
  observed: Float32Array;
  /** so many layers from the bottom have no backward pass */
  withoutBackward: number;
  /** [layers of the model]: as `StepInputs` has it */
  teaches?: Float32Array;
  /** AdamW's rows [blocks of all trainables, 4] */
  numbers: Float32Array;
  /** of a method that chooses ranks */
  ranks?: RankInputs;
  /** of a micro-batch by its rows, [rows, 1] */
  dropout?: (microBatch: number, rows: number, part?: string) => Float32Array;
}

/** What a graph gives, and which variables it gives new values. */
type Recorded = (inputs: Record<string, Tensor>) => { outputs: Tensor[]; updates: [tf.Variable, Tensor][] };

/**
 * The training step inside the engine: a graph in which weights, adapter and moments stay. With several micro-batches one graph
 * adds up gradients and another applies them. A loss that is no number moves nothing: the graph itself sets every rate to 0 then.
 *
 * With our own kernels a batch is its examples end to end, without padding, and the graph takes any number of tokens: it is
 * compiled once in a run. The compositions need whole rows; there rows are padded to one of few lengths, each with its graph.
 */
export class CompiledTraining<Batch, Tensors extends object> {
  private readonly graphs = new Map<string, Promise<CompiledStep>>();
  /** whether one graph takes any number of tokens */
  private readonly isOpen: boolean;
  private sums?: tf.Variable[];

  constructor(
    private readonly compiler: StepCompiler,
    private readonly objective: Objective<Batch, Tensors>,
    private readonly adapter: Adapter,
    private readonly optimizer: AdamW,
    private readonly options: { precision: Products; recompute: boolean | number },
    private readonly allocator?: RankAllocator,
  ) {
    this.isOpen = takesAnyLength() && objective.anyLength;
  }

  /** One step. @throws NotRecordable when a part of it can't be compiled */
  async run(values: StepValues<Batch>): Promise<StepNumbers> {
    const batches = values.batches.map((batch) => this.objective.forGraph(batch, this.isOpen));
    const below = values.withoutBackward;
    if (batches.length === 1) {
      const feeds = { ...this.batchFeeds(batches[0]!, values, 0), ...this.updateFeeds(values) };
      const step: Recorded = (inputs) => this.whole(inputs, batches[0]!, below);
      const [report, loss] = await this.runGraph(`whole above ${below}`, feeds, step);
      return { loss: loss![0]!, report: report! };
    }
    const trained = [...this.adapter.trainables.map(({ variable }) => variable), ...this.adapter.taps];
    this.sums ??= trained.map(({ shape }) => tf.tidy(() => tf.variable(tf.zeros(shape), false)));
    let loss = 0;
    for (const [index, batch] of batches.entries()) {
      const feeds = this.batchFeeds(batch, values, index);
      const [part] = await this.runGraph(`micro above ${below}`, feeds, (inputs) => this.micro(inputs, batch, below));
      loss += part![0]!;
    }
    const feeds = { ...this.updateFeeds(values), loss: { values: Float32Array.of(loss), shape: [] } };
    const [report] = await this.runGraph('apply', feeds, (inputs) => this.apply(inputs));
    return { loss, report: report! };
  }

  dispose(): void {
    tf.dispose(this.sums);
  }

  private batchFeeds(batch: Batch, values: StepValues<Batch>, index: number): Feeds {
    const units = this.objective.units(batch);
    const rows = this.isOpen ? VARYING : units.length;
    const feeds: Feeds = {
      ...this.objective.feeds(batch, this.isOpen),
      perTerm: { values: Float32Array.of(1 / values.terms), shape: [] },
      observed: { values: values.observed, shape: [values.observed.length] },
      shareWeight: { values: shareWeights(units, values.units), shape: [rows, 1] },
    };
    if (values.dropout) feeds.dropout = { values: values.dropout(index, units.length), shape: [rows, 1] };
    for (const [part, own] of Object.entries(partsOf(this.objective, this.adapter, batch))) {
      const [count, all] = [own.length, values.parts[part]!];
      feeds[`shareWeight.${part}`] = { values: shareWeights(own, all), shape: [count, 1] };
      if (values.dropout) feeds[`dropout.${part}`] = { values: values.dropout(index, count, part), shape: [count, 1] };
    }
    if (values.teaches) feeds.teaches = { values: values.teaches, shape: [values.teaches.length] };
    return feeds;
  }

  private updateFeeds({ numbers, ranks }: StepValues<Batch>): Feeds {
    const told = Object.entries(ranks ?? {}) as [string, Float32Array | Int32Array][];
    return {
      numbers: { values: numbers, shape: [numbers.length / 4, 4] },
      ...Object.fromEntries(told.map(([name, values]) => [name, { values, shape: [values.length] }])),
    };
  }

  /** Runs the graph for these feeds, compiling it at their first sight. */
  private async runGraph(kind: string, feeds: Feeds, step: Recorded): Promise<Float32Array[]> {
    const key = feedsKey(kind, feeds);
    let graph = this.graphs.get(key);
    if (!graph) {
      graph = this.compile(feeds, step);
      this.graphs.set(key, graph);
    }
    return (await graph).run(Object.values(feeds).map(({ values }) => values));
  }

  private async compile(feeds: Feeds, step: Recorded): Promise<CompiledStep> {
    const { tensors } = this.adapter;
    const frozen = tensors.flatMap(({ isFrozen, variable }) => (isFrozen ? [variable] : []));
    const state = [...this.optimizer.variables, ...(this.allocator?.variables ?? []), ...frozen, ...(this.sums ?? [])];
    const { examples, standIn } = exampleTensors(feeds, this.objective.model.matrices, state);
    try {
      return await this.compiler.compile({
        owner: this.objective.model.weights,
        feeds: Object.values(examples),
        state,
        precision: this.options.precision === 'bf16' ? 'bf16' : 'f32',
        standIn,
        step: () => {
          const { outputs, updates } = step(examples);
          const next = new Map(updates);
          return { outputs, updates: state.map((variable) => next.get(variable)) };
        },
      });
    } finally {
      tf.dispose(examples);
    }
  }

  private gradients(inputs: Record<string, Tensor>, batch: Batch, withoutBackward: number) {
    const { adapter, objective } = this;
    const heads = headsPerSite(adapter.options);
    const observed = tf.reshape(inputs.observed!, [adapter.sites.length, heads]);
    const tensors = objective.fed(inputs, batch, this.isOpen);
    adapter.step = {
      active: tf.unstack(observed) as Tensor1D[],
      shareWeight: inputs.shareWeight as Tensor2D,
      dropout: inputs.dropout as Tensor2D | undefined,
      parts: Object.fromEntries(
        Object.keys(partsOf(objective, adapter, batch)).map((part) => [part, rowsOf(inputs, part)]),
      ),
      teaches: inputs.teaches as Tensor1D | undefined,
    };
    try {
      const passes = { recompute: this.options.recompute, withoutBackward };
      const perTerm = inputs.perTerm as Scalar;
      return withProducts(this.options.precision, () =>
        microBatchGradients(objective, adapter, tensors, perTerm, passes),
      );
    } finally {
      adapter.step = undefined;
    }
  }

  private whole(inputs: Record<string, Tensor>, batch: Batch, withoutBackward: number) {
    const { loss, gradients } = this.gradients(inputs, batch, withoutBackward);
    const { report, updates } = this.update(gradients, inputs, loss);
    return { outputs: [report, loss], updates };
  }

  private micro(inputs: Record<string, Tensor>, batch: Batch, withoutBackward: number) {
    const { loss, gradients } = this.gradients(inputs, batch, withoutBackward);
    const sums = this.sums!;
    return {
      outputs: [loss],
      updates: gradients.map((gradient, k): [tf.Variable, Tensor] => [sums[k]!, tf.add(sums[k]!, gradient)]),
    };
  }

  private apply(inputs: Record<string, Tensor>) {
    const sums = this.sums as unknown as Tensor2D[];
    const { report, updates } = this.update(sums, inputs, inputs.loss as Scalar);
    const cleared = this.sums!.map((sum): [tf.Variable, Tensor] => [sum, tf.zeros(sum.shape)]);
    return { outputs: [report], updates: [...updates, ...cleared] };
  }

  private update(gradients: Tensor2D[], inputs: Record<string, Tensor>, loss: Scalar) {
    const { allocator } = this;
    const { kept, edge, chooses } = inputs as unknown as RankTensors;
    const choice = allocator && { allocator, told: { kept, edge, chooses } };
    const finite = tf.cast(tf.isFinite(loss), 'float32');
    const blocks = this.adapter.trainables.map((trainable) => trainable.blocks);
    const rows = tf.split(tf.mul(inputs.numbers!, finite), blocks, 0) as Tensor2D[];
    // our own AdamW leaves a block with rate 0 alone; the composition multiplies, and 0 times no number is none
    const used = fusedKernels()
      ? gradients
      : gradients.map((g) => tf.where(tf.cast(finite, 'bool'), g, tf.zerosLike(g)) as Tensor2D);
    return applyGradients(this.adapter, this.optimizer, used, rows, choice, finite as Scalar);
  }
}

/** What is fed of the rows of a part of the model. */
const rowsOf = (inputs: Record<string, Tensor>, part: string): RowInputs => ({
  shareWeight: inputs[`shareWeight.${part}`] as Tensor2D,
  dropout: inputs[`dropout.${part}`] as Tensor2D | undefined,
});
