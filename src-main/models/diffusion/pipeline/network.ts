import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Feeds } from '../../feeds.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { flowSites } from '../flow/layout.ts';
import { PromptTexts } from '../flow/texts.ts';
import { FlowTransformer } from '../flow/transformer.ts';
import type { DiffusionTensors } from '../loader.ts';
import type { FlowSteps } from '../noise/samplers/index.ts';
import type { DiffusionPass, DiffusionSite, DiffusionSiteShape } from '../site.ts';
import { textSites } from '../text/weights.ts';
import { UNet, unetSites, type UNetInputs } from '../unet/unet.ts';
import type { DiffusionFile, FlowFile, PartName, UNetFile } from './file.ts';
import { Texts, type TextFeatures } from './texts.ts';

/** What a network is told beside the noisy latents: each has its own of these. */
export type NetworkInputs = UNetInputs;

/** Latents of some pictures, and the tokens of each text with what it is filled up by. */
export interface NetworkSize {
  pictures: number;
  height: number;
  width: number;
  text: number;
}

/** What takes the noise out of latents: a UNet, or a flow's transformer; frozen, on the engine in use. */
export interface NoiseNetwork {
  /** by their names in diffusers */
  readonly tensors: DiffusionTensors;
  /** transformer blocks */
  readonly blocks: number;
  /** features of a token of the text */
  readonly contextWidth: number;
  /** sides of latents are multiples of it */
  readonly multiple: number;
  /** what the times of some pictures feed */
  timeFeeds(times: ArrayLike<number>): Feeds;
  /** what original size, crop and target size of each picture feed; nothing where the network is told none */
  sizeFeeds(sizes: number[][]): Feeds;
  /** how the family's pipeline spaces the steps of a picture, beside what the scheduler's file says */
  flowSteps(count: number, latents: { height: number; width: number }): FlowSteps;
  /** what it says of noisy latents [pictures, height, width, channels], of the same shape. @throws UserError for sizes that it can't take */
  predict(latents: Tensor4D, inputs: NetworkInputs, pass?: DiffusionPass): Tensor4D;
  /** how many rows of each name its linears see */
  rows(size: NetworkSize): Record<string, number>;
  sites(): DiffusionSiteShape[];
  siteWeight(site: Pick<DiffusionSite, 'block' | 'site'>): Tensor2D;
  dispose(): void;
}

/** What reads texts for a network, frozen, on the engine in use while it is open. */
export interface TextReader {
  /** loads what is not there. @throws UserError naming the tensor that is missing or of another shape */
  open(): Promise<void>;
  /** frees it; it can be opened again */
  release(): void;
  /** those parts of it that can be adapted */
  readonly groups: string[];
  /** parts of the model's file that it is, and what they do, for who keeps what it makes */
  readonly parts: PartName[];
  readonly does: object;
  /** tokens of a text at most */
  readonly length: number;
  /** numbers that are told of each text beside its tokens' features */
  readonly pooledWidth: number;
  /** of what is open */
  readonly matrices: { shape: number[] }[];
  /** of a site of what is open, [in, out]; undefined: it has none such. The caller disposes it */
  siteWeight(site: Omit<DiffusionSite, 'group'> & { group: string }): Tensor2D | undefined;
  /** what texts feed, and the end of each that there was no room for */
  feeds(texts: string[]): { feeds: Feeds; left: (string | undefined)[] };
  /** the features of texts from their feeds as tensors; differentiable with respect to the adaptation */
  features(inputs: Record<string, Tensor>, pass?: DiffusionPass): TextFeatures;
}

/** @throws UserError naming the tensor that is missing or of another shape */
export async function loadNetwork(file: DiffusionFile, format?: WeightFormat): Promise<NoiseNetwork> {
  return file.kind === 'z-image'
    ? FlowTransformer.from(file.transformer, await file.source('transformer'), format)
    : UNet.from(file.unet, await file.source('unet'), format);
}

/** What reads a model's texts, not yet open. */
export const textReader = (file: DiffusionFile, format?: WeightFormat): TextReader =>
  file.kind === 'z-image' ? new PromptTexts(file.prompt, format) : new Texts(file, format);

/**
 * Everything of a model that can be adapted: its network, then its text encoders, but for the last layer of SDXL's first one, which is
 * never run, and a flow's language model. Nothing is loaded.
 */
export function diffusionSites(
  file: Pick<UNetFile, 'kind' | 'unet' | 'texts'> | Pick<FlowFile, 'kind' | 'transformer'>,
): DiffusionSiteShape[] {
  if (file.kind === 'z-image') return flowSites(file.transformer);
  const { kind, unet, texts } = file;
  const run = (group: string, layers: number) => layers - Number(kind === 'sdxl' && group === 'text');
  return [
    ...unetSites(unet),
    ...texts.flatMap(({ config, group }) => textSites(config, group, run(group, config.layers))),
  ];
}
