import * as tf from '@tensorflow/tfjs-core';
import { UserError } from '../../engine/types.ts';
import type { AdapterOnStage } from './loaded.ts';

/**
 * omega of one site while something runs with an adapter: of every row that the site sees, one number a head.
 * @throws UserError where the adapter has no router there
 */
export async function observed(
  { adapter }: Pick<AdapterOnStage, 'adapter'>,
  { layer, site }: { layer: number; site: string },
  run: () => unknown,
): Promise<number[][]> {
  let omega: tf.Tensor2D | undefined;
  adapter.observeRouter = (at, seen) => {
    if (at.block === layer && at.site === site) omega = tf.keep(tf.clone(seen));
  };
  try {
    await run();
    if (!omega) throw new UserError(`The adapter has no router at layer ${layer}, ${site}. Choose another site.`);
    return (await omega.array()) as number[][];
  } finally {
    adapter.observeRouter = undefined;
    omega?.dispose();
  }
}
