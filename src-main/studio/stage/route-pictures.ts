import { LANGUAGE } from '../../effilora/methods/structure.ts';
import { UserError } from '../../engine/types.ts';
import { feedPicture, readsTextAlone } from '../../models/conversant.ts';
import type { AskedPrompt } from '../../models/conversant.ts';
import { patchesOn, type PlacedPicture } from '../../models/vision/patches-on.ts';
import { dataUrl, thumbnailOf } from '../../models/vision/pictures/decode.ts';
import { openPictureProcessor } from '../../models/vision/preparation/open.ts';
import { VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { bytesOf } from './loaded.ts';
import type { AdapterOnStage, LoadedModel } from './loaded.ts';
import { observed } from './observed.ts';
import type { PictureOnStage, RouteJob, Routed, RoutedPicture } from './types.ts';

/** Longest side of a picture under its patches, pixels. */
const SHOWN_SIDE = 960;

/**
 * The pictures of a prompt, each patch with the omega of its token.
 * @param omega of each of the prompt's tokens
 * @returns `whose` says whose patch a token is; undefined: it is text
 */
export async function routedPictures(
  { file, model }: LoadedModel,
  { pictures: given = [] }: RouteJob,
  { seen, pictures = [] }: Pick<AskedPrompt, 'seen' | 'pictures'>,
  omega: number[][],
) {
  const whose = new Map<number, { picture: number; part: number }>();
  const routed: RoutedPicture[] = [];
  const at = (token: number) => whose.get(token);
  if (!(model instanceof VisionLanguageModel) || !seen) return { routed, whose: at };
  const processor = await openPictureProcessor(file.sees!.place);
  const { config } = model.vision;
  const tokenOf = new Int32Array(model.vision.tokens(pictures.flatMap(({ grids }) => grids)));
  seen.places.forEach((place, token) => place >= 0 && (tokenOf[place] = token));
  let first = 0;
  for (const [picture, one] of pictures.entries()) {
    const from = first;
    const parts = patchesOn(one, LANGUAGE, processor, config);
    const tokens = parts.map(({ at: rows }) => [...rows].map((row) => tokenOf[from + row]!));
    tokens.forEach((list, part) => list.forEach((token) => whose.set(token, { picture, part })));
    routed.push(await shownWith(given[picture]!, one, parts, (_, part, patch) => omega[tokens[part]![patch]!]!));
    first += model.vision.tokens(one.grids);
  }
  return { routed, whose: at };
}

/** A site of what the model sees with: the patches of each picture, and no text. */
export async function routedSeeing(stage: LoadedModel, on: AdapterOnStage, job: RouteJob): Promise<Routed> {
  const { file, model } = stage;
  const { pictures: given = [], site } = job;
  if (!(model instanceof VisionLanguageModel)) throw new UserError(readsTextAlone(file.name));
  if (given.length === 0)
    throw new UserError(`${site} is in what sees pictures, and a text doesn't pass it. Add a picture, or choose another site.`); // prettier-ignore
  const processor = await openPictureProcessor(file.sees!.place);
  const pictures: RoutedPicture[] = [];
  for (const picture of given) {
    const { fed, ...how } = await feedPicture({ name: picture.name, bytes: await bytesOf(picture) }, processor, model);
    const omega = await observed(on, job, () => model.featuresOf(fed, on.adapter));
    const one = { ...how, grids: fed.grids };
    const parts = patchesOn(one, site.split('.')[0]!, processor, model.vision.config);
    pictures.push(await shownWith(picture, one, parts, (row) => omega[row]!));
  }
  return { tokens: [], left: 0, pictures };
}

async function shownWith(
  picture: PictureOnStage,
  { of }: PlacedPicture,
  parts: ReturnType<typeof patchesOn>,
  omegaOf: (row: number, part: number, patch: number) => number[],
): Promise<RoutedPicture> {
  const { name } = picture;
  const shown = dataUrl(await thumbnailOf(await bytesOf(picture), name, SHOWN_SIDE));
  return {
    ...{ name, width: of.width, height: of.height, shown },
    parts: parts.map(({ at, ...rest }, part) => ({
      ...rest,
      omega: [...at].map((row, patch) => omegaOf(row, part, patch)),
    })),
  };
}
