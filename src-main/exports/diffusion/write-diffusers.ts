import { UserError } from '../../engine/types.ts';
import { encodeSafetensors, type SafetensorsTensor } from '../../models/safetensors.ts';
import { recognizable, shapesOf, type LoraPair } from './pairs.ts';
import { COMPONENTS, type LoraPlaces } from './places.ts';

/** What diffusers looks for in a folder. */
export const DIFFUSERS_FILE = 'pytorch_lora_weights.safetensors';
/** Where a file's header holds PEFT's configuration of each part. */
export const DIFFUSERS_METADATA = 'lora_adapter_metadata';

/**
 * A LoRA as diffusers and PEFT keep it, f32. The scale is worked into B, so that alpha is the rank: programs that don't read the header
 * (ComfyUI, earlier versions of diffusers) take it for that, and a tensor named alpha is refused by diffusers.
 */
export function encodeDiffusersLora(pairs: LoraPair[], places: LoraPlaces): Uint8Array {
  if (pairs.length === 0) throw new UserError('The adapter changes no linear; there is nothing to write');
  const bare = pairs.find(({ magnitude }) => !magnitude);
  const dora = pairs.some(({ magnitude }) => magnitude);
  if (dora && bare) throw new UserError(`The adapter has a DoRA magnitude at some linears and none for ${bare.place.diffusers}`); // prettier-ignore
  const written = recognizable(pairs, places);
  const config = Object.fromEntries(
    (Object.keys(COMPONENTS) as (keyof typeof COMPONENTS)[]).flatMap(
      (part) =>
      partConfig(written.filter(({ place }) => place.group === part), dora).map(([field, value]) => [`${COMPONENTS[part]}.${field}`, value]), // prettier-ignore
    ),
  );
  return encodeSafetensors(written.flatMap(tensorsOf), { format: 'pt', [DIFFUSERS_METADATA]: JSON.stringify(config) });
}

function tensorsOf(pair: LoraPair): SafetensorsTensor[] {
  const { place, a, magnitude } = pair;
  const scale = pair.alpha / pair.rank;
  const shapes = shapesOf(pair);
  const b = scale === 1 ? pair.b : pair.b.map((value) => value * scale);
  const f32 = (name: string, shape: number[], data: Float32Array): SafetensorsTensor => ({
    ...{ name: `${place.diffusers}.${name}`, dtype: 'F32', shape, data },
  });
  const out = place.outFeatures;
  return [
    f32('lora_A.weight', shapes.a, a),
    f32('lora_B.weight', shapes.b, b),
    ...(magnitude ? [f32(magnitudeName(pair), shapes.a.length > 2 ? [1, out, 1, 1] : [out], magnitude)] : []),
  ];
}

/** PEFT, which loads a network's, takes the first in every version; transformers, which loads a text encoder's, the second alone. */
const magnitudeName = ({ place }: LoraPair) =>
  place.group.startsWith('text') ? 'lora_magnitude_vector.weight' : 'lora_magnitude_vector';

/** The fields of PEFT's LoraConfig for one part; none where it isn't adapted. */
function partConfig(pairs: LoraPair[], dora: boolean): [string, unknown][] {
  if (pairs.length === 0) return [];
  // Without the model's own name, which transformers' later versions leave out; PEFT compares names' ends.
  const nameOf = ({ place }: LoraPair) => place.path.replace(/^text_model\./, '');
  const { rank } = pairs[0]!;
  const other = Object.fromEntries(pairs.filter((pair) => pair.rank !== rank).map((pair) => [nameOf(pair), pair.rank]));
  return Object.entries({
    ...{ r: rank, lora_alpha: rank, rank_pattern: other, alpha_pattern: other },
    ...{ target_modules: pairs.map(nameOf), use_dora: dora },
  });
}
