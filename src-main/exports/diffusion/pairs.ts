import type { PlainLora } from '../../effilora/exports/plain-lora.ts';
import { scaleOf } from '../../effilora/methods/structure.ts';
import { siteTensor } from '../../effilora/names.ts';
import { UserError } from '../../engine/types.ts';
import type { LoraPlace, LoraPlaces } from './places.ts';

/** A plain LoRA of one linear or convolution: y += (alpha / rank) * b a x. */
export interface LoraPair {
  place: LoraPlace;
  rank: number;
  alpha: number;
  /** [rank, in]; of a convolution as files have it, [rank, channels, kernel, kernel] */
  a: Float32Array;
  /** [out, rank] */
  b: Float32Array;
  /** DoRA's, [out] */
  magnitude?: Float32Array;
}

/** The pairs of a plain LoRA, in the order of the model. @throws UserError for a tensor that belongs to none of its linears */
export function pairsOfPlain({ options, tensors }: PlainLora, { adapted }: LoraPlaces): LoraPair[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor.data]));
  const { rank } = options;
  const take = (name: string) => {
    const data = byName.get(name);
    byName.delete(name);
    return data;
  };
  const pairs = adapted.flatMap((place): LoraPair[] => {
    const [a, b, magnitude] = (['A', 'B', 'magnitude'] as const).map((part) => take(siteTensor(place, part)));
    return a && b ? [{ place, rank, alpha: scaleOf(options) * rank, a: channelsFirst(a, place), b, magnitude }] : [];
  });
  const [left] = byName.keys();
  if (left !== undefined) throw new UserError(`The adapter holds "${left}", which belongs to no linear of this model; was it trained on another one?`); // prettier-ignore
  return pairs;
}

/**
 * diffusers tells the form of a text encoder's keys by those of `out_proj`, and gives up where there are none: where no `out_proj` is
 * adapted, one pair that adds nothing is put in. With DoRA there is none that would.
 */
export function recognizable(pairs: LoraPair[], { adapted }: LoraPlaces): LoraPair[] {
  const isKey = ({ path }: LoraPlace) => path.endsWith('.out_proj');
  const more = (['text', 'text_2'] as const).flatMap((part): LoraPair[] => {
    const own = pairs.filter(({ place }) => place.group === part);
    const place = adapted.find((each) => each.group === part && isKey(each));
    if (!own[0] || !place || own.some((pair) => isKey(pair.place) || pair.magnitude)) return [];
    const { rank, alpha } = own[0];
    const [a, b] = [place.inFeatures, place.outFeatures].map((width) => new Float32Array(rank * width));
    return [{ place, rank, alpha, a: a!, b: b! }];
  });
  return [...pairs, ...more];
}

/** What an adapter has of a convolution, channels last, as files have it; that of a linear as it is. */
const channelsFirst = (a: Float32Array, { kernel = 1, inFeatures }: LoraPlace): Float32Array =>
  turned(a, inFeatures, kernel ** 2);

/** The same the other way: `a` of a file as an adapter has it. */
export const channelsLast = (a: Float32Array, { kernel = 1, inFeatures }: LoraPlace): Float32Array =>
  turned(a, inFeatures, inFeatures / kernel ** 2);

/** Rows of [columns, width / columns] numbers, as [width / columns, columns]. */
function turned(a: Float32Array, width: number, columns: number): Float32Array {
  const rows = width / columns;
  if (columns === 1 || rows === 1) return a;
  return Float32Array.from(
    a,
    (_, at) => a[at - (at % width) + (at % columns) * rows + Math.floor((at % width) / columns)]!,
  );
}

/** A pair's matrices as the weight they belong to is: [rank, in] and [out, rank], those of convolutions with two axes behind. */
export const shapesOf = ({ place, rank }: Pick<LoraPair, 'place' | 'rank'>): { a: number[]; b: number[] } => {
  const { kernel = 1, inFeatures, outFeatures } = place;
  const isConvolution = place.isPointwise || kernel > 1;
  const behind = (size: number) => (isConvolution ? [size, size] : []);
  return { a: [rank, inFeatures / kernel ** 2, ...behind(kernel)], b: [outFeatures, rank, ...behind(1)] };
};
