import type { DiffusionLoader } from '../loader.ts';
import type { Linear } from '../parts/linear.ts';
import { convolutionSite, loadResnet, type Convolution, type Norm, type ResnetWeights } from '../parts/resnet.ts';
import { loadTransformer, type TransformerWeights } from '../parts/transformer.ts';
import type { UNetConfig } from './config.ts';
import { samplerName, type LevelLayout, type UNetLayout } from './layout.ts';

export interface LevelWeights {
  resnets: ResnetWeights[];
  transformers: TransformerWeights[];
  sampler?: Convolution;
}

/** Two linears with SiLU between them. */
export interface Embedding {
  first: Linear;
  second: Linear;
}

export interface UNetWeights {
  in: Convolution;
  time: Embedding;
  added?: Embedding;
  down: LevelWeights[];
  middle: LevelWeights;
  up: LevelWeights[];
  norm: Norm;
  out: Convolution;
}

export async function loadUNet(config: UNetConfig, layout: UNetLayout, loader: DiffusionLoader): Promise<UNetWeights> {
  const first = config.down[0]!.channels;
  const embedding = async (name: string, width: number): Promise<Embedding> => ({
    first: await loader.linear(`${name}.linear_1`, layout.timeWidth, width),
    second: await loader.linear(`${name}.linear_2`, layout.timeWidth, layout.timeWidth),
  });
  return {
    in: await loader.convolution('conv_in', first, config.inChannels),
    time: await embedding('time_embedding', first),
    added: config.added && (await embedding('add_embedding', config.added.inFeatures)),
    down: await inTurn(layout.down, (level) => loadLevel(level, loader)),
    middle: await loadLevel(layout.middle, loader),
    up: await inTurn(layout.up, (level) => loadLevel(level, loader)),
    norm: await loader.norm('conv_norm_out', first),
    out: await loader.convolution('conv_out', config.outChannels, first),
  };
}

async function loadLevel(level: LevelLayout, loader: DiffusionLoader): Promise<LevelWeights> {
  return {
    resnets: await inTurn(level.resnets, (shape) => loadResnet(loader, shape)),
    transformers: await inTurn(level.transformers, (shape) => loadTransformer(loader, shape)),
    sampler:
      level.sampler === undefined
        ? undefined
        : await loader.convolution(level.sampler, level.channels, level.channels, samplerSite(level)),
  };
}

/** What leads to the next level belongs to the last residual block before it. */
const samplerSite = ({ resnets, sampler }: LevelLayout) =>
  convolutionSite(resnets.at(-1)!.block, samplerName(sampler!));

/** One after the other, so that memory holds one tensor's file form at a time. */
async function inTurn<A, B>(all: A[], load: (one: A) => Promise<B>): Promise<B[]> {
  const loaded: B[] = [];
  for (const one of all) loaded.push(await load(one));
  return loaded;
}
