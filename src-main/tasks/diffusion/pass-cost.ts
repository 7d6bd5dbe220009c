import type { FlowTransformerConfig } from '../../models/diffusion/flow/config.ts';
import type { UNetConfig } from '../../models/diffusion/unet/config.ts';
import { unetLayout, type LevelLayout } from '../../models/diffusion/unet/layout.ts';
import type { VaeConfig } from '../../models/diffusion/vae/config.ts';
import type { Size } from '../../models/vision/preparation/sizes.ts';

/** What one picture takes on its way through a network, in numbers of f32 and multiplications with their additions. */
export interface PassCost {
  macs: number;
  /** that backward needs of all */
  kept: number;
  /** and where transformer blocks are computed again */
  keptAgain: number;
  /** the largest that come and go at a time */
  working: number;
}

/** Which linears of a UNet learn, so that what goes into them is kept, too. */
export interface Learned {
  attention: boolean;
  feedForward: boolean;
}

/** Of a UNet on latents of this size, told by so many tokens of text. */
export function unetCost(config: UNetConfig, { width, height }: Size, tokens: number, learned: Learned): PassCost {
  const { down, middle, up } = unetLayout(config);
  const cost: PassCost = { macs: 0, kept: 0, keptAgain: 0, working: 0 };
  let [pixels, channels] = [width * height, config.down[0]!.channels];
  const work = (numbers: number) => (cost.working = Math.max(cost.working, numbers));
  const keep = (numbers: number, again = numbers) => ((cost.kept += numbers), (cost.keptAgain += again));
  const through = (level: LevelLayout, scale: number) => {
    for (const { inChannels, outChannels } of level.resnets) {
      cost.macs += pixels * 9 * (inChannels + outChannels) * outChannels;
      if (inChannels !== outChannels) cost.macs += pixels * inChannels * outChannels;
      keep(pixels * (inChannels + outChannels));
      work(3 * pixels * (inChannels + outChannels));
    }
    let inside = 0;
    for (const { channels: wide, depth, heads, contextWidth } of level.transformers) {
      const linears = 2 * wide * wide + depth * (6 + 12) * wide * wide;
      const attention = depth * 2 * wide * (pixels + tokens);
      cost.macs += pixels * (linears + attention) + depth * 2 * tokens * wide * contextWidth;
      // Before each norm, q, k, v and what is attended to, once more for the text, and the inner width with its gate.
      const block = pixels * (18 * wide + 2 * heads + (learned.attention ? 4 : 0) * wide + (learned.feedForward ? 5 : 0) * wide) + tokens * 2 * wide; // prettier-ignore
      keep(pixels * wide + depth * block, pixels * wide * (1 + depth));
      inside = Math.max(inside, block);
      work(pixels * 16 * wide);
    }
    cost.working = Math.max(cost.working, inside / 2);
    channels = level.channels;
    if (level.sampler === undefined) return;
    pixels *= scale;
    cost.macs += pixels * 9 * channels * channels;
  };
  cost.macs += pixels * 9 * config.inChannels * channels;
  for (const level of down) through(level, 1 / 4);
  through(middle, 1);
  for (const level of up) through(level, 4);
  cost.macs += pixels * 9 * channels * config.outChannels;
  keep(pixels * channels);
  return cost;
}

/** Of a flow's transformer. */
export function flowCost(
  { width: wide, innerWidth, layers, refiners }: FlowTransformerConfig,
  { width, height }: Size,
  text: number,
  learned: Learned,
): PassCost {
  const pixels = (width * height) / 4;
  const tokens = pixels + text;
  const block = (rows: number) => rows * (4 * wide * wide + 3 * wide * innerWidth + 2 * rows * wide);
  // Before each norm, q, k, v and what is attended to, and the inner width with its gate.
  const kept = 8 * wide + 2 * innerWidth + (learned.attention ? 2 : 0) * wide + (learned.feedForward ? wide + innerWidth : 0); // prettier-ignore
  const all = layers * tokens + refiners * tokens;
  return {
    macs: layers * block(tokens) + refiners * (block(pixels) + block(text)),
    kept: all * kept,
    keptAgain: all * wide + tokens * kept,
    working: tokens * (4 * innerWidth + 4 * wide),
  };
}

/** Of one half of a VAE on pictures of this size: multiplications, and the largest that come and go. */
export function vaeCost(
  { channels, layers, latentChannels, pictureChannels, attends }: VaeConfig,
  { width, height }: Size,
  half: 'encode' | 'decode',
) {
  const resnets = layers + (half === 'decode' ? 1 : 0);
  let [pixels, macs, working, before] = [width * height, 0, 0, channels[0]!];
  for (const [i, wide] of channels.entries()) {
    macs += pixels * 9 * (before * wide + (2 * resnets - 1) * wide * wide);
    working = Math.max(working, 5 * pixels * Math.max(before, wide));
    if (i < channels.length - 1) {
      macs += (pixels / (half === 'encode' ? 4 : 1)) * 9 * wide * wide;
      pixels /= 4;
    }
    before = wide;
  }
  const top = channels.at(-1)!;
  macs +=
    pixels * (4 * 9 * top * top + (attends ? 4 * top * top + 2 * pixels * top : 0) + 9 * 2 * latentChannels * top);
  macs += width * height * 9 * pictureChannels * channels[0]!;
  return { macs, working };
}
