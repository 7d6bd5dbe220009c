import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { checkAdapterTensors, checkWholeTensors } from '../../effilora/adapter-file.ts';
import { UserError } from '../../engine/types.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import type { AnyModelFile } from '../../models/open.ts';
import { sitesOfFile } from '../../models/file-sites.ts';
import { readPictureAdapter } from '../../exports/diffusion/import.ts';
import { readAnyAdapter } from '../../exports/read-any.ts';
import { writeStoredAdapter } from '../../trainer/adapter-folder.ts';
import type { StoredAdapter } from '../../trainer/stored-adapter.ts';

/**
 * Writes the adapter at `place` into `folder` in the studio's form.
 * @throws UserError in one sentence when it is damaged, of an unknown kind, or made for another model; then nothing is written
 */
export async function importAdapter(place: string, model: AnyModelFile, folder: string): Promise<void> {
  const paints = model.makes === 'pictures';
  const stored = await (paints ? readPictureAdapter(place, model) : readAnyAdapter(place, model.config));
  const architecture = paints ? model.diffusion.kind : model.config.architecture;
  checkArchitecture(stored, { name: model.name, architecture }, basename(place));
  const { sites, whole } = paints ? { sites: diffusionSites(model.diffusion), whole: [] } : sitesOfFile(model);
  checkWholeTensors(stored.description, whole, basename(place));
  checkAdapterTensors(stored.tensors, sites, stored.description, basename(place));
  checkNumbers(stored, basename(place));
  const { baseModel } = stored.description;
  const unnamed = /^0*$/.test(baseModel.sha256);
  const description = {
    ...stored.description,
    baseModel: unnamed ? { ...baseModel, name: model.name, architecture } : baseModel,
  };
  try {
    await writeStoredAdapter(folder, { ...stored, description });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Models of two families can have the same shapes. */
function checkArchitecture(
  { description: { baseModel } }: StoredAdapter,
  { name, architecture }: { name: string; architecture: string },
  file: string,
): void {
  if (baseModel.architecture === 'unknown' || baseModel.architecture === architecture) return;
  throw new UserError(
    `${file} does not fit this model: it was trained on ${baseModel.name} (${baseModel.architecture}), ${name} is of the kind ${architecture}. Choose the model it was trained on.`,
  );
}

/** A training that went wrong leaves values that are no numbers: an adapter of those answers nothing. */
function checkNumbers({ tensors }: StoredAdapter, name: string): void {
  const broken = tensors.find(({ data }) => !data.every(Number.isFinite));
  if (broken) throw new UserError(`${name} holds values that are no numbers (in ${broken.name}). Export it again.`);
}
