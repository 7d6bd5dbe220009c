import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { InputMoments, Matrix } from './moments.ts';
import { inner, ratio, RIDGE } from './narrow.ts';

/** Conjugate gradients end when every row's residual is below this share of its start, or after so many steps. */
const TOLERANCE = 1e-4;
const MOST_STEPS = 40;
/** Steps between two looks at the residual, which wait for the engine. */
const STEPS_A_LOOK = 20;
/** Near the smallest f32 with all its digits. */
const SMALLEST = 1e-37;

/**
 * z ~ L x by regression on the whole input: the lora_A of rank N * r (docs/method.md, Static export),
 *
 *     L = L0 + (E[z x^T] - L0 E[x x^T]) (E[x x^T] + ridge)^-1        L0 = P A, what the rank r form gives
 *
 * The ridge holds L to L0, so that no site comes out worse than in the rank r form. Solved by conjugate gradients with the
 * diagonal as preconditioner, a row of z each, which approaches the solution from L0 downhill all the way; an inverse of
 * [in, in] would cost in^3.
 * @param start L0 [N * r, in]
 * @returns [N * r, in]; the caller disposes it
 */
export async function regressedOnInput({ zx, xx }: InputMoments, start: Tensor2D): Promise<Tensor2D> {
  const system = tf.tidy(() => systemOf(xx));
  let state: State = tf.tidy(() => {
    const residual = tf.sub<Tensor2D>(zx, tf.matMul(start, xx));
    const direction = tf.mul<Tensor2D>(residual, system.inverse);
    return { solution: tf.zerosLike(start), residual, direction, energy: rowSums(residual, direction) };
  });
  const first = Float32Array.from(await state.energy.data());
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = tf.tidy(() => advance(state, xx, system));
    tf.dispose(Object.values(state));
    state = next;
    if (step % STEPS_A_LOOK !== 0) continue;
    const now = await state.energy.data();
    if (now.every((energy, row) => energy <= TOLERANCE ** 2 * first[row]!)) break;
  }
  const out = tf.tidy(() => tf.add<Tensor2D>(start, state.solution));
  tf.dispose([...Object.values(state), ...Object.values(system)]);
  return out;
}

type State = {
  solution: Tensor2D;
  residual: Tensor2D;
  direction: Tensor2D;
  /** residual . (residual / diagonal) of every row, [rows, 1] */
  energy: Tensor2D;
};

/** What is known of E[x x^T] + ridge before the first step. */
type System = {
  /** [1, 1] */
  ridge: Tensor2D;
  /** of its diagonal, which is the preconditioner: [1, in] */
  inverse: Tensor2D;
};

function systemOf(xx: Tensor2D): System {
  const diagonal = diagonalOf(xx);
  const ridge = tf.mul<Tensor2D>(tf.mean(diagonal, 1, true), RIDGE);
  return { ridge, inverse: quotient(tf.onesLike(diagonal), tf.add(diagonal, ridge)) };
}

/** One step of preconditioned conjugate gradients (Saad, Iterative Methods for Sparse Linear Systems, algorithm 9.1). */
function advance({ solution, residual, direction, energy }: State, xx: Tensor2D, { ridge, inverse }: System): State {
  const product = tf.add<Tensor2D>(tf.matMul(direction, xx), tf.mul(direction, ridge));
  const length = quotient(energy, rowSums(direction, product));
  const rest = tf.sub<Tensor2D>(residual, tf.mul(product, length));
  const scaled = tf.mul<Tensor2D>(rest, inverse);
  const next = rowSums(rest, scaled);
  return {
    solution: tf.add<Tensor2D>(solution, tf.mul(direction, length)),
    residual: rest,
    direction: tf.add<Tensor2D>(scaled, tf.mul(direction, quotient(next, energy))),
    energy: next,
  };
}

/** Relative output error of z ~ L x at a site, as `relativeError` for the rank r form. zz: E[z z^T]. */
export async function relativeErrorOnInput(
  l: Tensor2D,
  { zx, xx }: InputMoments,
  zz: Matrix,
  bb: Matrix,
): Promise<number> {
  const change = tf.tidy(() => {
    const cross = tf.matMul(zx, l, false, true);
    const square = tf.matMul(tf.matMul(l, xx), l, false, true);
    return tf.sub<Tensor2D>(square, tf.add(cross, tf.transpose(cross)));
  });
  const values = await change.data();
  change.dispose();
  const residual: Matrix = { ...zz, data: zz.data.map((value, i) => value + values[i]!) };
  return ratio(inner(bb, residual), inner(bb, zz));
}

const rowSums = (a: Tensor2D, b: Tensor2D) => tf.sum(tf.mul(a, b), 1, true) as Tensor2D;

/** a / b of numbers that are not negative; 0 / 0 is 0. */
const quotient = (a: Tensor2D, b: Tensor2D) => tf.div<Tensor2D>(a, tf.maximum(b, SMALLEST));

/** The diagonal [1, n] of [n, n]: with a row more to it, each row of n + 1 begins with one of its numbers. */
function diagonalOf(matrix: Tensor2D): Tensor2D {
  const n = matrix.shape[0];
  const shifted = tf.reshape(tf.concat([matrix, tf.zeros([1, n])]), [n, n + 1]);
  return tf.reshape(tf.slice(shifted, [0, 0], [n, 1]), [1, n]);
}
