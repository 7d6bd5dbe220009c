import fs from 'node:fs';
import path from 'node:path';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { readAdapter } from '../../trainer/adapter-folder.ts';
import { storedLora, type ForeignSite } from '../../trainer/foreign-lora.ts';
import type { StoredAdapter } from '../../trainer/stored-adapter.ts';
import { readShareFile } from '../read-share-file.ts';
import { channelsLast, type LoraPair } from './pairs.ts';
import { loraPlaces } from './places.ts';
import { readDiffusionLora } from './read-lora.ts';
import { DIFFUSERS_FILE } from './write-diffusers.ts';

/**
 * Reads an adapter of a model that makes pictures: an EffiLoRA adapter, an `.effilora` file, or a LoRA of diffusers or kohya's scripts.
 * @throws UserError in one sentence for whatever is damaged or made for something else
 */
export async function readPictureAdapter(place: string, model: DiffusionModelFile): Promise<StoredAdapter> {
  if (/\.effilora$/i.test(place)) return readShareFile(place);
  const inFolder = path.join(place, DIFFUSERS_FILE);
  const file = fs.existsSync(inFolder) ? inFolder : place;
  const isOwn =
    fs.existsSync(path.join(path.dirname(file), 'adapter.json')) || !/\.(safetensors|bin|pt|ckpt)$/i.test(file);
  return isOwn ? readAdapter(place) : importedLora(file, model);
}

async function importedLora(file: string, { name, diffusion }: DiffusionModelFile): Promise<StoredAdapter> {
  const places = loraPlaces(diffusion);
  const { pairs } = await readDiffusionLora(file, places);
  const names = [...new Set(places.adapted.map(({ site }) => site))];
  const own = new Set(pairs.map(({ place }) => place.site));
  const { rank, alpha } = pairs[0]!;
  const partial = places.adapted.filter(({ site }) => own.has(site)).length !== pairs.length;
  const lora = { rank, alpha, rsLora: false, dropout: 0, baseModel: { name, architecture: diffusion.kind }, partial };
  return storedLora(pairs.map(foreignOf), lora, file, names);
}

function foreignOf({ place, rank, alpha, a, b, magnitude }: LoraPair): ForeignSite {
  const named = (what: string, shape: number[], data: Float32Array) => ({
    name: `${place.diffusers}.${what}`,
    shape,
    data,
  });
  return {
    ...{ layer: place.block, site: place.site, scale: alpha / rank },
    a: named('lora_A', [rank, place.inFeatures], channelsLast(a, place)),
    b: named('lora_B', [place.outFeatures, rank], b),
    ...(magnitude && { magnitude: named('magnitude', [place.outFeatures], magnitude) }),
  };
}
