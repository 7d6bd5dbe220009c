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

/** One that is followed: its smoothed sensitivity and how much that varies, number by number. */
interface Followed {
  trainable: Trainable;
  sensitivity: tf.Variable<tf.Rank.R2>;
  uncertainty: tf.Variable<tf.Rank.R2>;
}

/**
 * Chooses the ranks of AdaLoRA (docs/method.md, AdaLoRA), as PEFT's RankAllocator does. The order of a step:
 *
 *     gradients -> regularized -> update -> follow (on the engine) -> after (on the host): lambda is 0 where a triplet is left out
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
   * Pure in its tensors: follows p * dL/dp of every number, p as the update left it.
   * @param parameters of the trainables after the update
   * @param finite 1, or 0 where the step's loss is no number and nothing is to change
   */
  follow(
    parameters: Tensor2D[],
    gradients: Tensor2D[],
    finite: Scalar,
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
    const scores = this.#sites.map(({ a, b, lambda }) =>
      tf.add<Tensor1D>(scoreOf(lambda), tf.add(scoreOf(a), scoreOf(b))),
    );
    const updates = this.#followed.flatMap(({ sensitivity, uncertainty }, k): [tf.Variable, Tensor][] => [
      [sensitivity, next[k]![0]],
      [uncertainty, next[k]![1]],
    ]);
    return { scores: tf.concat(scores), updates };
  }

  /** After the update of `step`: chooses anew where it is time, and holds what was left out at 0. */
  async after(step: number, scores: Float32Array): Promise<void> {
    const { options } = this;
    const last = options.steps - options.tFinal;
    if (step < last) this.#state.scores = [...scores];
    const all = this.triplets;
    const budget = budgetAt(step, all, (all * options.targetRank) / this.adapter.options.rank, options);
    const known = this.#state.scores;
    if (budget !== undefined && known) this.#state.kept = keptOf(known, budget);
    if (this.#state.kept && (budget !== undefined || step > last)) await this.#leaveOut(this.#state.kept);
  }

  async #leaveOut(kept: readonly number[]): Promise<void> {
    const { rank } = this.adapter.options;
    for (const [site, { lambda }] of this.#sites.entries()) {
      const own = kept.slice(site * rank, (site + 1) * rank);
      if (own.every(Boolean)) continue;
      const { variable } = this.adapter.trainables[lambda]!;
      const values = (await variable.data()) as Float32Array;
      if (own.every((stays, i) => stays || values[i] === 0)) continue;
      const masked = tf.tensor2d(
        values.map((value, i) => (own[i] ? value : 0)),
        variable.shape,
      );
      variable.assign(masked);
      masked.dispose();
    }
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
