import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { clipped, fusedKernels, type WholeOptimizer } from '../engine/fused-kernels.ts';
import type { Trainable } from './trainable.ts';
import type { HeldTensor, NamedTensor } from './types.ts';

export interface AdamWOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** decoupled (arXiv 1711.05101) */
  weightDecay: number;
  /** global norm of the gradients that update something; 0 = off */
  clipNorm: number;
  /** learning rate of the heads over that of the rest (LoRA+, arXiv 2402.12354) */
  rateOfB: number;
  /** learning rate of what is trained whole over that of the rest */
  rateOfWhole: number;
}

export const ADAMW_DEFAULTS: AdamWOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 1,
  rateOfB: 1,
  rateOfWhole: 1,
};

/** What is not updated; a Reducer says so. */
export interface Frozen {
  /** head by its index among all */
  isFrozen(head: number): boolean;
  /** everything that belongs to this layer alone */
  isLayerFrozen(layer: number): boolean;
}

/** What changes from step to step, as tensors: per trainable [blocks, 4] = rate, 1 / bias corrections, decay factor. */
export type BlockNumbers = Tensor2D[];

/** Moments as they are checkpointed: tensors `<name>.m`, `<name>.v` in memory layout, and the steps of every block. */
export interface OptimizerState<Moment = NamedTensor> {
  steps: Record<string, number[]>;
  moments: Moment[];
}

interface Slot {
  trainable: Trainable;
  m: tf.Variable<tf.Rank.R2>;
  v: tf.Variable<tf.Rank.R2>;
  /** updates each block has had; a frozen head's stands still */
  steps: number[];
}

/**
 * AdamW over an adapter's tensors. Each head counts its own steps: while it is frozen its weights, count and moments stand
 * still. What depends on the step enters as small tensors (`numbers`), so that `update` can be captured into a graph.
 */
export class AdamW {
  readonly options: AdamWOptions;
  readonly #slots: Slot[];

  constructor(trainables: Trainable[], options: AdamWOptions) {
    this.options = options;
    this.#slots = trainables.map((trainable) => ({
      trainable,
      m: zerosLike(trainable.variable),
      v: zerosLike(trainable.variable),
      steps: new Array<number>(trainable.blocks).fill(0),
    }));
  }

  /** Every tensor the optimizer reads and writes: weights, first and second moments. */
  get variables(): tf.Variable[] {
    return [...this.#slots.map(({ trainable }) => trainable.variable), ...this.#slots.flatMap(({ m, v }) => [m, v])];
  }

  /** Bytes of the moments. */
  get memoryBytes(): number {
    return this.#slots.reduce((bytes, { m }) => bytes + 8 * m.size, 0);
  }

  /** Counts a step for every block that is updated and gives its numbers. The caller disposes them. */
  numbers(learningRate: number, frozen: Frozen): BlockNumbers {
    const { beta1, beta2, weightDecay, rateOfB, rateOfWhole } = this.options;
    return this.#slots.map(({ trainable, steps }) => {
      const { role, blocks, firstHead } = trainable;
      const rows = new Float32Array(4 * blocks);
      for (let block = 0; block < blocks; block++) {
        if (standsStill(trainable, block, frozen)) continue; // rate 0: nothing moves
        const t = ++steps[block]!;
        // A schedule's rate of 0 still moves the moments.
        const rate = Math.max(
          learningRate * (firstHead !== undefined ? rateOfB : role === 'whole' ? rateOfWhole : 1),
          1e-30,
        );
        rows.set([rate, 1 / (1 - beta1 ** t), 1 / (1 - beta2 ** t), 1 - rate * weightDecay], 4 * block);
      }
      return tf.tensor2d(rows, [blocks, 4]);
    });
  }

  /** Takes back what the last `numbers` counted: its step updated nothing. */
  takeBack(frozen: Frozen): void {
    for (const { trainable, steps } of this.#slots) {
      steps.forEach((_, block) => {
        if (!standsStill(trainable, block, frozen)) steps[block]!--;
      });
    }
  }

  /** null: the engine has no such thing */
  #whole: WholeOptimizer | null | undefined;

  /**
   * One update of all tensors at once and in place, where the engine in use can do that.
   * @returns the gradients' global norm before clipping, and of every trainable's blocks mean |p g| before the update
   */
  updateWhole(gradients: Tensor2D[], numbers: BlockNumbers): { gradNorm: Scalar; sensitivities: Tensor1D } | undefined {
    if (this.#whole === undefined) {
      const tensors = this.#slots.map(({ trainable, m, v }) => ({
        p: trainable.variable,
        m,
        v,
        blocks: trainable.blocks,
      }));
      this.#whole = fusedKernels()?.openOptimizer?.(tensors, this.options) ?? null;
    }
    return this.#whole?.step(gradients, tf.concat2d(numbers, 0));
  }

  /**
   * One update. `gradients` in the order of the trainables; those of frozen heads are not used.
   * @returns the gradients' global norm before clipping, and what each variable becomes
   */
  update(gradients: Tensor2D[], numbers: BlockNumbers): { gradNorm: Scalar; updates: [tf.Variable, Tensor][] } {
    const gradNorm = globalNorm(gradients.map((g, k) => movingSquares(g, numbers[k]!)));
    const updates = this.#slots.flatMap(({ trainable: { variable }, m, v }, k): [tf.Variable, Tensor][] => {
      const [p2, m2, v2] = tf.tidy(() => adamw([variable, m, v], gradients[k]!, numbers[k]!, gradNorm, this.options));
      return [
        [variable, p2],
        [m, m2],
        [v, v2],
      ];
    });
    return { gradNorm, updates };
  }

  /** The moments' numbers are to be read before the next step. */
  exportState(): OptimizerState<HeldTensor> {
    const held = (name: string, variable: tf.Variable): HeldTensor => ({
      name,
      shape: variable.shape,
      read: () => variable.data() as Promise<Float32Array>,
    });
    const moments = this.#slots.flatMap(({ trainable: { name }, m, v }) => [
      held(`${name}.m`, m),
      held(`${name}.v`, v),
    ]);
    return { steps: Object.fromEntries(this.#slots.map((slot) => [slot.trainable.name, [...slot.steps]])), moments };
  }

  /** Takes a state of the same adapter structure. */
  importState({ steps, moments }: OptimizerState): void {
    const given = new Map(moments.map((moment) => [moment.name, moment.data]));
    for (const slot of this.#slots) {
      const { name } = slot.trainable;
      slot.steps = [...steps[name]!];
      for (const [variable, key] of [
        [slot.m, `${name}.m`],
        [slot.v, `${name}.v`],
      ] as const) {
        const tensor = tf.tensor2d(given.get(key)!, variable.shape);
        variable.assign(tensor);
        tensor.dispose();
      }
    }
  }

  /** Gives back the moments; the weights belong to the adapter. */
  dispose(): void {
    this.#whole?.dispose();
    this.#whole = undefined;
    for (const { m, v } of this.#slots) {
      m.dispose();
      v.dispose();
    }
  }
}

function standsStill({ layer, firstHead }: Trainable, block: number, frozen: Frozen): boolean {
  const isHead = firstHead !== undefined && frozen.isFrozen(firstHead + block);
  return isHead || (layer !== undefined && frozen.isLayerFrozen(layer));
}

/** m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p = decay p - rate m^ / (sqrt(v^) + eps), by equal blocks of rows. */
function adamw(
  state: [Tensor2D, Tensor2D, Tensor2D],
  gradient: Tensor2D,
  numbers: Tensor2D,
  norm: Scalar,
  options: AdamWOptions,
): [Tensor, Tensor, Tensor] {
  const kernels = fusedKernels();
  if (kernels) return kernels.adamw(state, gradient, numbers, norm, options);
  const { beta1, beta2, epsilon, clipNorm } = options;
  const [p, m, v] = state;
  const g = clipped(gradient, norm, clipNorm);
  const [blocks] = numbers.shape;
  const moves = tf.tile(moving(numbers), [1, p.shape[0] / blocks, 1]);
  const by = (x: Tensor2D) => tf.reshape(x, [blocks, p.shape[0] / blocks, p.shape[1]]);
  const column = (k: number) => tf.reshape(tf.slice(numbers, [0, k], [-1, 1]), [blocks, 1, 1]);
  const m2 = tf.add(by(m), tf.mul(tf.mul(tf.sub(by(g), by(m)), 1 - beta1), moves));
  const v2 = tf.add(by(v), tf.mul(tf.mul(tf.sub(tf.square(by(g)), by(v)), 1 - beta2), moves));
  const step = tf.div(tf.mul(m2, column(1)), tf.add(tf.sqrt(tf.mul(v2, column(2))), epsilon));
  const decay = tf.add(tf.mul(column(3), moves), tf.sub(1, moves));
  const p2 = tf.sub(tf.mul(by(p), decay), tf.mul(column(0), step));
  return [tf.reshape(p2, p.shape), tf.reshape(m2, p.shape), tf.reshape(v2, p.shape)];
}

/** [blocks, 1, 1]: 1 where the block is updated, 0 where its head is frozen. */
function moving(numbers: Tensor2D): Tensor {
  return tf.reshape(tf.cast(tf.greater(tf.slice(numbers, [0, 0], [-1, 1]), 0), 'float32'), [numbers.shape[0], 1, 1]);
}

/** Sum of the squares over the blocks that move: a frozen head's gradient is there only while it is probed. */
function movingSquares(g: Tensor2D, numbers: Tensor2D): Scalar {
  const kernels = fusedKernels();
  if (kernels?.squares) return kernels.squares(g, numbers);
  const [blocks] = numbers.shape;
  return tf.tidy(() => {
    const by = tf.reshape(g, [blocks, g.shape[0] / blocks, g.shape[1]]);
    return tf.sum(tf.mul(tf.square(by), moving(numbers))) as Scalar;
  });
}

/** The root of the sum of all squares. */
function globalNorm(squares: Scalar[]): Scalar {
  return tf.tidy(() => tf.sqrt(tf.addN(squares)));
}

function zerosLike(variable: tf.Variable<tf.Rank.R2>): tf.Variable<tf.Rank.R2> {
  const zeros = tf.zeros<tf.Rank.R2>(variable.shape);
  const state = tf.variable(zeros, false);
  zeros.dispose();
  return state;
}
