import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { DiffusionLoader } from '../loader.ts';
import type { Linear } from '../parts/linear.ts';
import type { Norm } from '../parts/resnet.ts';
import type { DiffusionPart, DiffusionSiteShape } from '../site.ts';
import type { TextConfig } from './config.ts';

export type TextGroup = Extract<DiffusionPart, 'text' | 'text_2'>;

export interface TextLayer {
  norm1: Norm;
  query: Linear;
  key: Linear;
  value: Linear;
  out: Linear;
  norm2: Norm;
  up: Linear;
  down: Linear;
}

export interface TextWeights {
  /** [vocabulary, hidden] */
  tokens: Tensor2D;
  /** [positions, hidden] */
  positions: Tensor2D;
  layers: TextLayer[];
  norm: Norm;
  projection?: Linear;
}

/** transformers' names with the model's name before them, which its later versions leave out; positions that are counted are no tensor. */
export function textName(name: string): string | undefined {
  if (name.endsWith('embeddings.position_ids')) return undefined;
  return /^(embeddings|encoder|final_layer_norm)\./.test(name) ? `text_model.${name}` : name;
}

const layerName = (layer: number, name: string) => `text_model.encoder.layers.${layer}.${name}`;
const siteOf = (group: TextGroup, block: number, name: string) => ({
  ...{ group, block, site: `${group}.${name.replace(/^(self_attn|mlp)\./, '')}` },
});

/** A layer's linears in the order of the forward pass, by their names in it. */
const linearsOf = ({ hiddenSize: hidden, intermediateSize: inner }: TextConfig): [string, number, number][] => [
  ...['q', 'k', 'v', 'out'].map((part): [string, number, number] => [`self_attn.${part}_proj`, hidden, hidden]),
  ['mlp.fc1', inner, hidden],
  ['mlp.fc2', hidden, inner],
];

/**
 * Every linear of a text encoder that can be adapted, in the order of the forward pass.
 * @param layers so many are run
 */
export const textSites = (config: TextConfig, group: TextGroup, layers = config.layers): DiffusionSiteShape[] =>
  Array.from({ length: layers }, (_, block) =>
    linearsOf(config).map(([name, outFeatures, inFeatures]) => ({
      ...siteOf(group, block, name),
      ...{ path: layerName(block, name), inFeatures, outFeatures },
      kind: 'linear' as const,
      reads: 'self' as const,
    })),
  ).flat();

export async function loadTextEncoder(
  config: TextConfig,
  group: TextGroup,
  loader: DiffusionLoader,
): Promise<TextWeights> {
  const { hiddenSize: hidden, vocabularySize, positions, projectionSize } = config;
  const table = async (name: string, rows: number) =>
    (await loader.tensor(`text_model.embeddings.${name}.weight`, [rows, hidden])) as Tensor2D;
  const layers: TextLayer[] = [];
  const weights: TextWeights = {
    tokens: await table('token_embedding', vocabularySize),
    positions: await table('position_embedding', positions),
    layers,
    norm: await loader.norm('text_model.final_layer_norm', hidden),
    projection:
      projectionSize === undefined
        ? undefined
        : await loader.linear('text_projection', projectionSize, hidden, { biased: false }),
  };
  for (let block = 0; block < config.layers; block++) {
    const linears: Linear[] = [];
    for (const [name, out, inside] of linearsOf(config))
      linears.push(await loader.linear(layerName(block, name), out, inside, { site: siteOf(group, block, name) }));
    const [query, key, value, out, up, down] = linears as [Linear, Linear, Linear, Linear, Linear, Linear];
    const norm = (name: string) => loader.norm(layerName(block, name), hidden);
    layers.push({ norm1: await norm('layer_norm1'), query, key, value, out, norm2: await norm('layer_norm2'), up, down }); // prettier-ignore
  }
  return weights;
}
