import type { ExampleSource } from '../../data/example-source.ts';
import type { EngineFacts, MemoryPlan } from '../../effilora/memory-plan.ts';
import { adaptedSites, parameterCounts } from '../../effilora/methods/structure.ts';
import type { AdapterOptions } from '../../effilora/types.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { heldInFlow } from '../../models/diffusion/flow/held.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import type { DiffusionFile, PartName, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import type { TextConfig } from '../../models/diffusion/text/config.ts';
import type { Size } from '../../models/vision/preparation/sizes.ts';
import type { WeightFormat } from '../../models/weight-format.ts';
import type { Recipe } from '../../recipe/recipe.ts';
import type { RunCost } from '../task.ts';
import { bucketsOf, type CaptionedExample } from './dataset.ts';
import { EVALUATED_TIMES } from './draws.ts';
import { sidesOf, type WholeTraining } from './options.ts';
import { flowCost, unetCost, vaeCost, type Learned } from './pass-cost.ts';

const F32_BYTES = 4;
/** Of a matrix's number held in so many bits, with its scales. */
const BYTES: Record<Exclude<WeightFormat, 'auto'>, number> = { f32: 4, bf16: 2, int8: 34 / 32, int4: 18 / 32 };
/** Pictures that an evaluation sends through together, and those that guidance does. */
const EVALUATED = 4;
const GUIDED = 2;
/**
 * What the step's graph takes for a place that learns beside attention's, which the engine's own bytes hold: on Emoji 64 54 more of
 * them took 60 MiB more, with 1 picture as with 8.
 */
const PLACE_BYTES = 1.1 * 2 ** 20;

/** What a recipe's steps over captioned pictures take: of UNet, VAE and text encoders, by their sizes. */
export function diffusionCost(
  recipe: Recipe,
  method: AdapterOptions,
  { diffusion: file }: DiffusionModelFile,
  train: ExampleSource<unknown>,
  engine: EngineFacts,
): RunCost {
  const { batch, weights, evalSplit } = recipe.training;
  const { sampling } = recipe.training.diffusion as WholeTraining;
  const { factor } = sidesOf(file);
  const latents = ({ width, height }: Size): Size => ({ width: width / factor, height: height / factor });
  const learned: Learned = {
    attention: method.targets.some(isAttention),
    feedForward: method.targets.some((site) => /\.ff\.|\.feed_forward/.test(site)),
  };
  const network = (size: Size) => networkCost(file, latents(size), learned);
  const buckets = sizesOf(train as ExampleSource<CaptionedExample>);
  const costs = buckets.map(({ size, share }) => ({ share, size, ...network(size) }));
  const largest = costs.reduce((most, cost) => (cost.kept > most.kept ? cost : most));
  const mean = (of: (cost: (typeof costs)[number]) => number) => costs.reduce((sum, cost) => sum + cost.share * of(cost), 0); // prettier-ignore
  const adaptsTexts = method.targets.some((site) => site.startsWith('text'));
  const text = textCost(file);
  const texts = textBytes(file, weights);
  const sites = adaptedSites(diffusionSites(file), method);
  const trained = F32_BYTES * parameterCounts(sites, method).all;
  const graph = PLACE_BYTES * sites.filter(({ site }) => !isAttention(site)).length;
  const painted = { width: sampling.width!, height: sampling.height! };
  const [encoding, decoding] = [vaeCost(file.vae, largest.size, 'encode'), vaeCost(file.vae, painted, 'decode')];
  const pass = 2 * (mean(({ macs }) => macs) + (adaptsTexts ? text.macs : 0));
  const samples = { bytes: partBytes(file, ['vae']) + F32_BYTES * decoding.working, flops: 2 * (sampling.steps * GUIDED * network(painted).macs + decoding.macs) }; // prettier-ignore

  const memory = (recompute: boolean | number): MemoryPlan => {
    const kept = batch * ((recompute ? largest.keptAgain : largest.kept) + (adaptsTexts ? text.kept : 0));
    const activations = F32_BYTES * kept * engine.keptOverhead;
    const step = F32_BYTES * batch * largest.working;
    const beside = Math.max(
      partBytes(file, ['vae']) + F32_BYTES * encoding.working,
      adaptsTexts ? 0 : texts,
      evalSplit > 0 ? F32_BYTES * EVALUATED * largest.working : 0,
      F32_BYTES * GUIDED * network(painted).working,
      samples.bytes,
    );
    const parts = {
      frozenWeights: networkBytes(file, weights) + (adaptsTexts ? texts : 0),
      adapter: trained,
      gradientsAndMoments: 3 * trained,
      activations,
      transient: Math.max(step, beside - activations, engine.updatesInPlace ? 0 : 3 * trained),
      engine: engine.ownBytes + graph,
    };
    return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
  };
  return {
    memory,
    // Frozen weights have no gradient: backward costs as much as forward. The adapter's own products are small beside the convolutions.
    flopsPerUnit: (recompute) => pass * (recompute ? 3 : 2),
    recomputationFor: (budgetBytes) => memory(false).total > budgetBytes && 1,
    evaluationFlops: EVALUATED_TIMES * pass,
    onceFlops: 2 * (encoding.macs + (adaptsTexts ? 0 : text.macs)),
    ...{ seenFlops: 0, sampleFlops: samples.flops, blocks: blocksOf(file) },
  };
}

const isAttention = (site: string) => /\.attn|\.attention/.test(site);

const blocksOf = (file: DiffusionFile) =>
  new Set(diffusionSites(file).map(({ group, block }) => `${group} ${block}`)).size;

/** The sizes that pictures are learned at, and the share of all that each has. */
const sizesOf = (train: ExampleSource<CaptionedExample>): { size: Size; share: number }[] =>
  bucketsOf(train).map(({ pictures, ...size }) => ({ size, share: pictures / train.count }));

/** Of a flow's texts, each of its own length: about so many tokens a caption. */
const FLOW_TOKENS = 64;
const tokensOf = (file: UNetFile) => file.texts[0]!.tokenizer.length;

const networkCost = (file: DiffusionFile, latents: Size, learned: Learned) =>
  file.kind === 'z-image'
    ? flowCost(file.transformer, latents, FLOW_TOKENS, learned)
    : unetCost(file.unet, latents, tokensOf(file), learned);

/** One text on its way through all encoders. */
function textCost(file: DiffusionFile): { macs: number; kept: number } {
  // A flow's language model is frozen.
  if (file.kind === 'z-image') return { macs: 0, kept: 0 };
  const { texts } = file;
  const tokens = tokensOf(file);
  const of = ({ layers, hiddenSize: wide, intermediateSize: inner }: TextConfig) => ({
    macs: layers * tokens * (4 * wide * wide + 2 * wide * inner + 2 * tokens * wide),
    kept: layers * tokens * (8 * wide + 2 * inner),
  });
  return texts.map(({ config }) => of(config)).reduce((sum, { macs, kept }) => ({ macs: sum.macs + macs, kept: sum.kept + kept }), { macs: 0, kept: 0 }); // prettier-ignore
}

/** Parts as f32. */
const partBytes = ({ tensors }: DiffusionFile, parts: PartName[]): number =>
  parts.flatMap((part) => tensors[part] ?? []).reduce((sum, { shape }) => sum + F32_BYTES * sizeOf(shape), 0);

const sizeOf = (shape: number[]) => shape.reduce((product, side) => product * side, 1);

/** What a run holds at least, and at first: its network, and what reads texts, which leaves once all are read unless it learns. */
export const frozenBytes = (file: DiffusionFile, weights: WeightFormat): number =>
  networkBytes(file, weights) + textBytes(file, weights);

const networkBytes = (file: DiffusionFile, weights: WeightFormat) => bytesOf(file, weights, ['unet', 'transformer']);
const textBytes = (file: DiffusionFile, weights: WeightFormat) => bytesOf(file, weights, ['text', 'text_2']);

/** Parts as a run holds them: matrices of what can be adapted as they are asked for, all else in f32, unless a flow holds it otherwise. */
function bytesOf(file: DiffusionFile, weights: WeightFormat, parts: PartName[]): number {
  const paths = new Set(diffusionSites(file).map(({ group, path }) => `${group} ${path}.weight`));
  return parts
    .flatMap((part) => (file.tensors[part] ?? []).map((tensor) => ({ part, ...tensor })))
    .reduce((sum, { part, name, shape, byteLength }) => {
      const size = sizeOf(shape);
      const inF32 = F32_BYTES * size;
      const beside = file.kind === 'z-image' ? heldInFlow(file, part, { name, shape }) : 'f32';
      if (beside === 'left') return sum;
      if (weights === 'f32' || (beside === 'f32' && !paths.has(`${part} ${name}`))) return sum + inF32;
      const inFile = Math.min(inF32, byteLength);
      return sum + (weights === 'auto' ? inFile : Math.min(inFile, BYTES[weights] * size));
    }, 0);
}
