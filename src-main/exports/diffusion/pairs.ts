import type { PlainLora } from '../../effilora/exports/plain-lora.ts';
import { scaleOf } from '../../effilora/methods/structure.ts';
import { siteTensor } from '../../effilora/names.ts';
import { UserError } from '../../engine/types.ts';
import type { LoraPlace, LoraPlaces } from './places.ts';

/** A plain LoRA of one linear: y += (alpha / rank) * b a x. */
export interface LoraPair {
  place: LoraPlace;
  rank: number;
  alpha: number;
  /** [rank, in] */
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
    return a && b ? [{ place, rank, alpha: scaleOf(options) * rank, a, b, magnitude }] : [];
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

/** A pair's matrices as its linear's weight is: [rank, in] and [out, rank], or with two axes of 1 behind. */
export const shapesOf = ({ place, rank }: LoraPair): { a: number[]; b: number[] } => {
  const behind = place.isPointwise ? [1, 1] : [];
  return { a: [rank, place.inFeatures, ...behind], b: [place.outFeatures, rank, ...behind] };
};
