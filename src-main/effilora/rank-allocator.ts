import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Adapter } from './adapter.ts';
import { siteTensors } from './methods/structure.ts';
import { orthogonalityGradient } from './orthogonality.ts';
import { budgetAt, keptOf, type RankOptions } from './rank-schedule.ts';
import type { Trainable } from './trainable.ts';
import type { HeldTensor, NamedTensor } from './types.ts';

/** What a resumed run needs beside the tensors; JSON keeps it exactly. */
export interface RankState {
  /** of every triplet, before the last step that is scored; null before the first */
  scores: number[] | null;
  /** 1 where a triplet stays; null before the first choice */
  kept: number[] | null;
}

/** What changes from step to step. */
export interface RankInputs {
  /** [triplets]: 0 where one is left out whatever its score */
  kept: Float32Array;
  /** [1]: the place, among the scores from the highest on, of the highest that is left out */
  edge: Int32Array;
  /** [1]: 1 where what is left out is chosen by the scores */
  chooses: Float32Array;
}

/** The same on the engine. */
export interface RankTensors {
  kept: Tensor1D;
  edge: Tensor1D;
  chooses: Tensor1D;
}

/** One that is followed: its smoothed sensitivity and how much that varies, number by number. */
interface Followed {
  trainable: Trainable;
  sensitivity: tf.Variable<tf.Rank.R2>;
  uncertainty: tf.Variable<tf.Rank.R2>;
}

/**
 * Chooses the ranks of AdaLoRA (docs/method.md, AdaLoRA), as PEFT's RankAllocator does. The order of a step:
 *
 *     gradients -> regularized -> update -> follow (on the engine): lambda is 0 where a triplet is left out -> after (on the host)
 *
 * Triplets in the order of the adapter's sites, `rank` of each. Owns its variables: call `dispose` at the end.
 */
export class RankAllocator {
  readonly #followed: Followed[];
  /** A, B and lambda of each site, by their place among the trainables */
  readonly #sites: { a: number; b: number; lambda: number }[];
  #state: RankState = { scores: null, kept: null };

  constructor(
    readonly adapter: Adapter,
    readonly options: RankOptions,
  ) {
    const { trainables } = adapter;
    this.#followed = trainables.map((trainable) => ({
      trainable,
      sensitivity: zerosLike(trainable.variable),
      uncertainty: zerosLike(trainable.variable),
    }));
    const place = new Map(trainables.map(({ name }, k) => [name, k]));
    this.#sites = adapter.sites.map((shape) => {
      const { A, B, lambda } = siteTensors(shape, adapter.options);
      return { a: place.get(A)!, b: place.get(B)!, lambda: place.get(lambda!)! };
    });
  }

  /** How many triplets there are; as many scores follow a step. */
  get triplets(): number {
    return this.#sites.length * this.adapter.options.rank;
  }

  /** Which triplets stay, 1 or 0 each; undefined before the first choice. */
  get kept(): readonly number[] | undefined {
    return this.#state.kept ?? undefined;
  }

  /** How many triplets of each site stay; undefined before the first choice. */
  get ranks(): number[] | undefined {
    const { rank } = this.adapter.options;
    const { kept } = this.#state;
    return kept ? this.#sites.map((_, site) => kept.slice(site * rank, (site + 1) * rank).reduce((a, b) => a + b, 0)) : undefined; // prettier-ignore
  }

  /** Every tensor that `follow` reads and writes beside the adapter's. */
  get variables(): tf.Variable[] {
    return this.#followed.flatMap(({ sensitivity, uncertainty }) => [sensitivity, uncertainty]);
  }

  /** The gradients with those of the penalty on A and B that are not orthogonal: its weight times the mean over all A and B. */
  regularized(gradients: Tensor2D[]): Tensor2D[] {
    const weight = this.options.orthogonality / (2 * this.#sites.length);
    if (weight === 0) return gradients;
    return gradients.map((gradient, k) => {
      const { role, variable } = this.adapter.trainables[k]!;
      return role === 'lambda' ? gradient : tf.add<Tensor2D>(gradient, orthogonalityGradient(variable, weight));
    });
  }

  /**
   * Pure in its tensors: follows p * dL/dp of every number, p as the update left it, and leaves triplets out.
   * @param parameters of the trainables after the update
   * @param finite 1, or 0 where the step's loss is no number and nothing is to change
   */
  follow(
    parameters: Tensor2D[],
    gradients: Tensor2D[],
    finite: Scalar,
    { kept, edge, chooses }: RankTensors,
  ): { scores: Tensor1D; updates: [tf.Variable, Tensor][] } {
    const { beta1, beta2 } = this.options;
    const isOn = tf.cast(finite, 'bool');
    const next = this.#followed.map(({ sensitivity, uncertainty }, k): [Tensor2D, Tensor2D] => {
      const now = tf.abs(tf.mul(parameters[k]!, gradients[k]!));
      const s = tf.add(tf.mul(sensitivity, beta1), tf.mul(now, 1 - beta1));
      const u = tf.add(tf.mul(uncertainty, beta2), tf.mul(tf.abs(tf.sub(now, s)), 1 - beta2));
      return [tf.where(isOn, s, sensitivity) as Tensor2D, tf.where(isOn, u, uncertainty) as Tensor2D];
    });
    const scoreOf = (k: number) => tf.mean(tf.mul(next[k]![0], next[k]![1]), 1);
    const scores = tf.concat(
      this.#sites.map(({ a, b, lambda }) => tf.add<Tensor1D>(scoreOf(lambda), tf.add(scoreOf(a), scoreOf(b)))),
    );
    const threshold = tf.gather(tf.topk(scores, this.triplets).values, edge);
    const isAbove = tf.cast(tf.greater(scores, threshold), 'float32');
    const byScore = tf.sub(1, tf.mul(tf.mul(chooses, finite), tf.sub(1, isAbove)));
    const { rank } = this.adapter.options;
    const stays = tf.split(tf.reshape(tf.mul(kept, byScore), [this.triplets, 1]), this.#sites.length);
    const updates = this.#followed.flatMap(({ sensitivity, uncertainty }, k): [tf.Variable, Tensor][] => [
      [sensitivity, next[k]![0]],
      [uncertainty, next[k]![1]],
    ]);
    const lambdas = this.#sites.map(({ lambda }, site): [tf.Variable, Tensor] => [
      this.adapter.trainables[lambda]!.variable,
      tf.mul(parameters[lambda]!, tf.reshape(stays[site]!, [rank, 1])),
    ]);
    return { scores, updates: [...updates, ...lambdas] };
  }

  /** What `follow` is told of `step`. */
  inputs(step: number): RankInputs {
    const { options, triplets: all } = this;
    const last = options.steps - options.tFinal;
    const budget = this.#budget(step);
    // The last choice is by the scores before it, which are known.
    if (step === last && this.#state.scores) this.#state.kept = keptOf(this.#state.scores, budget!);
    const out = budget !== undefined && step < last ? all - budget : 0;
    const held = step >= last ? this.#state.kept : null;
    return {
      kept: Float32Array.from(held ?? new Array<number>(all).fill(1)),
      edge: Int32Array.of(Math.min(all - 1, all - out)),
      chooses: Float32Array.of(Number(out > 0)),
    };
  }

  #budget(step: number): number | undefined {
    const all = this.triplets;
    return budgetAt(step, all, (all * this.options.targetRank) / this.adapter.options.rank, this.options);
  }

  /** Remembers what `follow` told of `step`. */
  after(step: number, scores: Float32Array): void {
    if (step >= this.options.steps - this.options.tFinal) return;
    this.#state.scores = [...scores];
    const budget = this.#budget(step);
    if (budget !== undefined) this.#state.kept = keptOf(this.#state.scores, budget);
  }

  exportState(): { state: RankState; tensors: HeldTensor[] } {
    const tensors = this.#followed.flatMap(({ trainable, sensitivity, uncertainty }) =>
      [
        { name: `${trainable.name}.sensitivity`, variable: sensitivity },
        { name: `${trainable.name}.uncertainty`, variable: uncertainty },
      ].map(({ name, variable }): HeldTensor => ({
        name,
        shape: variable.shape,
        read: () => variable.data() as Promise<Float32Array>,
      })),
    );
    return { state: structuredClone(this.#state), tensors };
  }

  /** Takes a state of the same adapter structure. */
  importState(state: RankState, tensors: NamedTensor[]): void {
    this.#state = structuredClone(state);
    const given = new Map(tensors.map(({ name, data }) => [name, data]));
    for (const { trainable, sensitivity, uncertainty } of this.#followed)
      for (const [variable, key] of [
        [sensitivity, 'sensitivity'],
        [uncertainty, 'uncertainty'],
      ] as const) {
        const tensor = tf.tensor2d(given.get(`${trainable.name}.${key}`)!, variable.shape);
        variable.assign(tensor);
        tensor.dispose();
      }
  }

  dispose(): void {
    tf.dispose(this.variables);
  }
}

function zerosLike(variable: tf.Variable<tf.Rank.R2>): tf.Variable<tf.Rank.R2> {
  return tf.tidy(() => tf.variable(tf.zeros<tf.Rank.R2>(variable.shape), false));
}
