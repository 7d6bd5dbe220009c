import { seededChoice } from '../../data/order.ts';
import type { ExampleSource } from '../../data/example-source.ts';
import { lengthFacts } from '../../effilora/length-facts.ts';
import type { ModelFacts } from '../../effilora/memory-plan.ts';
import { isOfLanguage } from '../../effilora/methods/structure.ts';
import { sitesOfFile } from '../../models/file-sites.ts';
import { repeatsOf, type SeenFacts } from '../../effilora/seen.ts';
import type { ModelFile, SeeingFile, TensorInfo } from '../../models/types.ts';
import { featuresOf, type VisionConfig } from '../../models/vision/towers/config.ts';
import { isMmproj } from '../../models/vision/towers/source.ts';
import { isUnused, staysInHalf } from '../../models/vision/towers/names.ts';
import { modelFacts } from '../text-plan.ts';
import type { SeenPicture } from './preparation.ts';

const F32_BYTES = 4;
/** Examples that pictures are counted in, drawn from all: a dataset of a million rows isn't read for it. */
const COUNTED = 1000;

type Looked = Pick<SeenPicture, 'tiles' | 'width' | 'height' | 'sha256'>;
type Weights = Pick<SeeingFile, 'config' | 'tensors' | 'place'>;

/** The language model's facts, and what is held of tower and connector. */
export function seeingFacts(file: Pick<ModelFile, 'name' | 'config' | 'tensors' | 'sees'>): ModelFacts {
  const { sites, whole } = sitesOfFile(file);
  const seeing = { sites: sites.filter(({ site }) => !isOfLanguage(site)), whole };
  return { ...modelFacts(file), seeing, seesBytes: file.sees && heldBytes(file.sees) };
}

/** What examples' pictures take, told from some of them. */
export function pictureFacts(
  { sees }: Pick<ModelFile, 'sees'>,
  examples: ExampleSource<unknown>,
): SeenFacts | undefined {
  if (!sees || examples.count === 0) return undefined;
  const drawn = seededChoice(examples.count, COUNTED, 0, 'pictures');
  const looked = drawn.map((index) => picturesOf(examples.read(index)));
  const pictures = looked.flat();
  if (pictures.length === 0) return undefined;
  const tiles = lengthFacts(looked.map((some) => sum(some.map((picture) => picture.tiles))));
  const lengths = pictures.map((picture) => tokensOf(picture, sees.config));
  const { meanTokens } = lengthFacts(lengths);
  // A tile is as large as all others, but for Qwen's pictures, whose sizes are their own.
  const sizes = pictures.map(({ width, height }) => patchesOf({ width, height }, sees.config));
  const different = new Map(pictures.map((picture) => [picture.sha256, picture.tiles]));
  const tokensATile = sum(lengths) / sum(pictures.map((one) => one.tiles));
  return {
    examples: examples.count,
    repeats: repeatsOf(
      sum([...different.values()]),
      sum(pictures.map((one) => one.tiles)),
      looked.length,
      examples.count,
    ),
    ...{ name: 'pictures', said: saidOf({ lengths, meanTokens }, sees) },
    ...{ mean: tiles.meanTokens, deviation: tiles.deviationTokens, most: tiles.maxTokens },
    ...seenPiece(sees, lengthFacts(sizes), tokensATile),
  };
}

const sum = (values: number[]) => values.reduce((all, value) => all + value, 0);
const numbers = ({ shape }: { shape: number[] }) => shape.reduce((product, size) => product * size, 1);
const used = ({ tensors, config }: Weights) => tensors.filter(({ name }) => !isUnused(name, config.tower.layers));

/** In f32, but for what stays in half precision. */
function heldBytes(sees: Weights): number {
  const stays = (one: TensorInfo) => !isMmproj(sees.place) && staysInHalf(one);
  return sum(used(sees).map((one) => (stays(one) ? one.byteLength : F32_BYTES * numbers(one))));
}

function picturesOf(prepared: unknown): Looked[] {
  const { example } = prepared as { example: { pictures?: Looked[] } };
  return example.pictures ?? [];
}

const patchesOf = ({ width, height }: Pick<Looked, 'width' | 'height'>, { tower: { patchSize } }: VisionConfig) =>
  Math.floor(width / patchSize) * Math.floor(height / patchSize);

function tokensOf({ tiles, width, height }: Looked, config: VisionConfig): number {
  const { patchSize } = config.tower;
  return tiles * featuresOf({ rows: Math.floor(height / patchSize), columns: Math.floor(width / patchSize) }, config);
}

function saidOf({ lengths, meanTokens }: { lengths: number[]; meanTokens: number }, sees: SeeingFile): string {
  const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
  const tokens = least === most ? `${most} tokens` : `${least} to ${most} tokens, ${Math.round(meanTokens)} on average`;
  const megabytes = Math.ceil(heldBytes(sees) / 2 ** 20);
  return `A picture is ${tokens}, which count into the sequence length. What the model sees with takes ${megabytes} MiB, and looks at every picture once, unless it learns, too.`;
}

/**
 * What one picture, or tile of one, takes of a tower.
 * @param patches of it: the mean for the work, the most for the memory
 * @param tokens of the language model that it becomes
 */
function seenPiece(
  sees: Weights,
  { meanTokens: mean, maxTokens: most }: { meanTokens: number; maxTokens: number },
  tokens: number,
): Pick<SeenFacts, 'flops' | 'bytes' | 'bytesLayerByLayer' | 'keptBytes' | 'keptBytesAgain'> {
  const { tower } = sees.config;
  const { layers, heads, hiddenSize, intermediateSize, patchSize } = tower;
  const isJoint = (name: string) => /^(connector|tower\.merger)\./.test(name);
  const products = used(sees).filter(({ shape, name }) => shape.length > 1 && !name.includes('position_embedding'));
  const weights = sum(products.map((one) => numbers(one) * (isJoint(one.name) ? tokens : mean)));
  const wide = tower.kind === 'qwen2.5' ? tower.full.length : layers;
  const inWindow = tower.kind === 'qwen2.5' ? Math.min(mean, (tower.windowSize / patchSize) ** 2) : mean;
  const attention = 4 * hiddenSize * mean * (wide * mean + (layers - wide) * inWindow);
  // Scores are whole in Qwen's windows and pictures alone, which hide what lies beyond an edge.
  const isQwen = tower.kind === 'qwen2.5';
  const scores = isQwen ? heads * most * most : 0;
  const allScores = isQwen ? heads * most * (wide * most + (layers - wide) * Math.min(most, inWindow)) : 0;
  // Of a layer: x before either norm, q, k, v and the heads' rows, and the inner width before its activation, Qwen's gate beside it.
  // While backward is in it, gradients of that.
  const layer = most * ((isQwen ? 2 : 1) * intermediateSize + 6 * hiddenSize);
  const working = 2 * (scores + most * intermediateSize);
  // The inner width before and after its activation, and q, k, v beside x; the patches on both sides.
  const inside = 2 * scores + most * (2 * intermediateSize + 4 * hiddenSize);
  const fed = 2 * most * 3 * patchSize ** 2;
  return {
    flops: 2 * weights + attention,
    bytes: F32_BYTES * (inside + fed),
    bytesLayerByLayer: F32_BYTES * (inside + fed + layers * most * hiddenSize),
    keptBytes: F32_BYTES * (layers * layer + allScores + working),
    keptBytesAgain: F32_BYTES * (layers * most * hiddenSize + layer + scores + working),
  };
}
