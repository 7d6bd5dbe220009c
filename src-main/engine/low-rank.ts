import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels, type LowRankInputs } from './fused-kernels.ts';

/** What a step asks of a low-rank mixture beside its output. */
export interface LowRankStep {
  /** [heads]: 0 where a head's B gets no gradient */
  active?: Tensor1D;
  /** with `tap` [1, heads]: its gradient is sum_t weight_t omega_t; weight [tokens, 1] */
  share?: { tap: Tensor2D; weight: Tensor2D };
}

/** True where the engine has the mixture in one piece. */
export const hasLowRank = (): boolean => fusedKernels()?.lowRank !== undefined;

/**
 * y + scale * sum_j omega_j B_j (A x), omega = softmax(router x), where the engine has it in one piece: gradients flow to x, y,
 * A, the router and B. Elsewhere effilora/adapter.ts composes it.
 */
export function lowRankMixture({ scale, ...tensors }: LowRankInputs, { active, share }: LowRankStep): Tensor2D {
  const kernels = fusedKernels()!;
  const flags = active ?? tf.ones<tf.Rank.R1>([tensors.router.shape[0]]);
  const run = tf.customGrad((...args) => {
    const [x, y, a, router, b, ...rest] = args as unknown as Tensor2D[];
    const save = rest.at(-1) as unknown as tf.GradSaveFunc;
    const [value, kept] = kernels.lowRank!({ x: x!, y: y!, a: a!, router: router!, b: b!, scale });
    save([x!, a!, router!, b!, ...kept, flags, ...(share ? [share.weight] : [])]);
    return {
      value,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x2, a2, router2, b2, mixed, omega, on, weight] = saved as Tensor2D[];
        const inputs = { x: x2!, a: a2!, router: router2!, b: b2!, scale };
        const upstream = dy as Tensor2D;
        const grads = kernels.lowRankGrad!(upstream, inputs, [mixed!, omega!], on as unknown as Tensor1D, weight);
        const { dx, dA, dRouter, dB, share: shareGrad } = grads;
        return [dx, tf.clone(upstream), dA, dRouter, dB, ...(shareGrad ? [shareGrad] : [])];
      },
    };
  });
  const { x, y, a, router, b } = tensors;
  return run(x, y, a, router, b, ...(share ? [share.tap] : [])) as Tensor2D;
}
