import type { BaseModelFile } from '../types.ts';
import { isDiffusionFolder, openDiffusionFolder } from './pipeline/open-folder.ts';
import type { DiffusionFile } from './pipeline/file.ts';
import { openSingleFile } from './single/open.ts';

/** A model that makes pictures from texts. */
export interface DiffusionModelFile extends BaseModelFile {
  readonly makes: 'pictures';
  format: 'diffusers' | 'checkpoint';
  /** its parts, and what they are */
  diffusion: DiffusionFile;
}

/** Whether such a model lies there, by what is easily seen: a folder as diffusers saves it, or one file of safetensors. */
export const makesPicturesAt = (place: string, isFolder: boolean): boolean =>
  isFolder ? isDiffusionFolder(place) : /\.safetensors$/i.test(place);

/** Opens a folder with model_index.json, or a checkpoint in one file. @throws UserError */
export async function openDiffusionModel(place: string, isFolder: boolean): Promise<DiffusionModelFile> {
  const diffusion = await (isFolder ? openDiffusionFolder(place) : openSingleFile(place));
  const { path, name, byteLength, sha256 } = diffusion;
  return {
    ...{ makes: 'pictures', format: isFolder ? 'diffusers' : 'checkpoint', diffusion },
    ...{ path, name, byteLength, sha256: () => sha256() },
    // Its files are opened and closed part by part.
    close: () => Promise.resolve(),
  };
}
