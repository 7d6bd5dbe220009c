import path from 'node:path';
import type { AdapterOptions } from '../../../src-main/effilora/types.ts';
import type { UNet } from '../../../src-main/models/diffusion/unet/unet.ts';
import type { Feeds } from '../../../src-main/models/feeds.ts';
import type { Expected } from './networks.ts';
import { channelsLast } from './support.ts';

/** Tiny random UNets, with diffusers' outputs and gradients, and EffiLoRA's on them (data/diffusion/make_unets.py). */
export const data = path.join(import.meta.dirname, '../data/diffusion/unets');
const TARGETS = ['unet.attn1.to_q', 'unet.attn1.to_out', 'unet.attn2.to_k', 'unet.attn2.to_v', 'unet.ff.net_2', 'unet.proj_in']; // prettier-ignore
/** How they are adapted. */
export const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 3, heads: 2, alpha: 6, targets: TARGETS, share: 'global', router: 'site' },
  ...{ dropout: 0, rsLora: false, dora: false },
};

/** What the case feeds: latents, the direction that its outputs are summed along, and what the model is told beside. */
export function feedsOf(model: UNet, expected: Expected): Feeds {
  const pictures = (name: string) => channelsLast(expected.get(name)!);
  const context = expected.get('context')!;
  const [pooled, sizes] = [expected.get('text_embeds'), expected.get('time_ids')];
  return {
    ...{ sample: pictures('sample'), direction: pictures('direction') },
    context: { values: context.values, shape: [context.values.length / context.shape[2]!, context.shape[2]!] },
    ...model.timeFeeds(expected.get('times')!.values),
    ...(pooled && { pooled }),
    ...(sizes && model.sizeFeeds([0, 1].map((i) => [...sizes.values.slice(6 * i, 6 * i + 6)]))),
  };
}
