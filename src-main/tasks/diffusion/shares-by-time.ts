import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D } from '@tensorflow/tfjs-core';
import type { Adapter } from '../../effilora/adapter.ts';
import { isRouted } from '../../effilora/methods/registry.ts';
import { siteName } from '../../effilora/names.ts';
import type { SiteShape } from '../../effilora/types.ts';
import { UserError } from '../../engine/types.ts';
import type { SharesByTime, Watched } from '../task.ts';
import { evaluationBatch } from './batch.ts';
import type { CaptionedExample } from './dataset.ts';
import { inBuckets } from './evaluation.ts';
import type { DiffusionNetwork } from './network.ts';
import { noiseObjective } from './objective.ts';

/**
 * The router's mean shares of each head in so many equal parts of all times, over pictures with always the same noise; every picture weighs
 * the same. Places that see the caption alone, before there is any noise, are none of them.
 * @throws UserError where the adapter has no router
 */
export async function sharesByTime(
  network: DiffusionNetwork,
  examples: Iterable<CaptionedExample>,
  adapter: Adapter,
  parts: number,
  { told }: Watched,
): Promise<SharesByTime> {
  const textual = new Set(network.model.texts.groups);
  const sites = adapter.sites.filter(({ group }) => !textual.has(group));
  if (!isRouted(adapter.options) || sites.length === 0)
    throw new UserError('This adapter has no router that sees the noise: there is nothing shared out among heads.');
  const groups = [...inBuckets(examples)];
  const { heads } = adapter.options;
  const sums = sites.map(() => Array.from({ length: parts }, () => new Float64Array(heads)));
  let pictures = 0;
  for (const [at, group] of groups.entries()) {
    pictures += group.length;
    for (let part = 0; part < parts; part++) {
      const means = await meanShares(network, sites, adapter, group, [part, parts]);
      sums.forEach((all, site) => {
        for (let head = 0; head < heads; head++) all[part]![head]! += group.length * means[site * heads + head]!;
      });
      // The engine answers without a turn of the event loop: a wish to stop has to get in.
      await setImmediate();
      await told?.(at * parts + part + 1, groups.length * parts);
    }
  }
  const places = sites.map(({ block, site }, i) => ({
    ...{ block, site },
    shares: sums[i]!.map((sum) => Array.from(sum, (value) => value / pictures)),
  }));
  return { blocks: network.blockNames, places };
}

/** Mean omega over the rows that each site sees of some pictures of one bucket, [sites * heads]. */
async function meanShares(
  network: DiffusionNetwork,
  sites: SiteShape[],
  adapter: Adapter,
  group: CaptionedExample[],
  [part, parts]: [number, number],
): Promise<Float32Array> {
  const objective = noiseObjective(network);
  const batch = await objective.ready!(evaluationBatch(group, part, parts), adapter);
  const tensors = objective.tensors(batch);
  const found = new Map<string, Tensor1D>();
  adapter.observeRouter = (site, omega) => found.set(siteName(site), tf.keep(tf.mean<Tensor1D>(omega, 0)));
  try {
    tf.tidy(() => void objective.forward(tensors, { adaptation: adapter, recompute: false }));
    const all = tf.tidy(() => tf.concat(sites.map((site) => found.get(siteName(site))!)));
    const means = (await all.data()) as Float32Array;
    all.dispose();
    return means;
  } finally {
    adapter.observeRouter = undefined;
    tf.dispose([...found.values()]);
    tf.dispose(tensors as unknown as tf.TensorContainer);
  }
}
