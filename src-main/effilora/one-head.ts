import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { LayerTensors } from './types.ts';

/**
 * h = A x [tokens, r] of sites with one head, made once for those of a block that read the same x with the same A: q, k and v, or
 * gate and up. Their gradients come together before A and x get theirs, in one product each.
 */
export class SharedHidden {
  #last?: { x: Tensor2D; a: Tensor2D; block: LayerTensors; h: Tensor2D };

  /** x [tokens, in], a [r, in]; `block`: whose tensors these are now. h lives as long as what the caller's `tf.tidy` makes. */
  of(x: Tensor2D, a: Tensor2D, block: LayerTensors): Tensor2D {
    const last = this.#last;
    if (last?.x === x && last.a === a && last.block === block && !last.h.isDisposed) return last.h;
    const h = tf.matMul<Tensor2D>(x, a, false, true);
    this.#last = { x, a, block, h };
    return h;
  }
}

/**
 * h [tokens, r] of a site with one head, whose weight is 1 whatever its router says: passes unchanged, the router's gradient is 0, and
 * that of `tap` [1, 1] the sum of `weight` [tokens, 1], as router-share.ts has it with omega = 1.
 */
export function onlyHead(h: Tensor2D, router: Tensor2D, share?: { tap: Tensor2D; weight: Tensor2D }): Tensor2D {
  const pass = tf.customGrad((...args) => {
    const save = args.at(-1) as unknown as tf.GradSaveFunc;
    save(share ? [share.weight] : []);
    return {
      value: tf.clone(args[0] as Tensor2D),
      gradFunc: (dy: Tensor, [weight]: Tensor[]) => [
        tf.clone(dy),
        tf.zeros(router.shape),
        ...(weight ? [tf.sum(weight, 0, true)] : []),
      ],
    };
  });
  return pass(h, router, ...(share ? [share.tap] : [])) as Tensor2D;
}
