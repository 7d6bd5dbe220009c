import type { ResnetShape } from '../parts/resnet.ts';
import type { TransformerShape } from '../parts/transformer.ts';
import type { LevelConfig, UNetConfig } from './config.ts';

/** One level: its residual blocks, a transformer behind each of them or none, and what leads to the next level. */
export interface LevelLayout {
  resnets: ResnetShape[];
  transformers: TransformerShape[];
  /** the convolution that halves or doubles the pictures, by its place in the file; undefined: there is none */
  sampler?: string;
  channels: number;
}

/** Where everything of a UNet lies in its file, and its sizes. */
export interface UNetLayout {
  down: LevelLayout[];
  middle: LevelLayout;
  up: LevelLayout[];
  timeWidth: number;
  /** transformer blocks in all; residual ones are numbered from there on */
  blocks: number;
}

/** How adapters name what leads from one level to the next, by its place in the file. */
export const samplerName = (path: string): string => (path.includes('.downsamplers.') ? 'downsample' : 'upsample');

/** As diffusers builds it (unet_2d_condition.py, unet_2d_blocks.py). Transformer blocks are counted down, mid, up, then residual ones. */
export function unetLayout(config: UNetConfig): UNetLayout {
  const timeWidth = 4 * config.down[0]!.channels;
  let blocks = 0;
  const level = (
    name: string,
    { channels, heads, depth }: Omit<LevelConfig, 'layers'>,
    widths: number[],
    transformers: number,
  ): LevelLayout => ({
    resnets: widths.map((inChannels, i) => ({
      ...{ name: `${name}.resnets.${i}`, inChannels, outChannels: channels, timeWidth },
      ...{ groups: config.groups, epsilon: config.epsilon },
    })),
    transformers: Array.from({ length: depth > 0 ? transformers : 0 }, (_, i) => {
      const firstBlock = blocks;
      blocks += depth;
      const { groups, contextWidth } = config;
      return { name: `${name}.attentions.${i}`, channels, heads, depth, firstBlock, contextWidth, groups };
    }),
    channels,
  });

  // What each residual block on the way up takes beside what comes from below.
  const skips = [config.down[0]!.channels];
  const down = config.down.map((own, i) => {
    const name = `down_blocks.${i}`;
    const before = config.down[i - 1]?.channels ?? own.channels;
    const widths = Array.from({ length: own.layers }, (_, k) => (k === 0 ? before : own.channels));
    const isLast = i === config.down.length - 1;
    skips.push(...widths.map(() => own.channels), ...(isLast ? [] : [own.channels]));
    return { ...level(name, own, widths, own.layers), sampler: isLast ? undefined : `${name}.downsamplers.0.conv` };
  });
  const { middle: center } = config;
  const middle = level('mid_block', center, [center.channels, center.channels], 1);
  const up = config.up.map((own, i) => {
    const name = `up_blocks.${i}`;
    const below = config.up[i - 1]?.channels ?? own.channels;
    const widths = Array.from({ length: own.layers + 1 }, (_, k) => (k === 0 ? below : own.channels) + skips.pop()!);
    const isLast = i === config.up.length - 1;
    return {
      ...level(name, own, widths, own.layers + 1),
      sampler: isLast ? undefined : `${name}.upsamplers.0.conv`,
    };
  });
  [...down, middle, ...up].flatMap(({ resnets }) => resnets).forEach((resnet, i) => (resnet.block = blocks + i));
  return { down, middle, up, timeWidth, blocks };
}
