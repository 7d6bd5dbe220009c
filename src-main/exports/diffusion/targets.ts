import fsp from 'node:fs/promises';
import path from 'node:path';
import type { DiffusionFile, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import type { PictureTarget } from '../request.ts';
import { isCheckpoint, refuseUntold } from './checkpoint-fit.ts';
import { rewriteCheckpoint, writeCheckpoint } from './merged-checkpoint.ts';
import { checkFolder, writeMergedFolder } from './merged-folder.ts';
import type { LoraPair } from './pairs.ts';
import type { LoraPlaces } from './places.ts';
import { DIFFUSERS_FILE, encodeDiffusersLora } from './write-diffusers.ts';
import { encodeKohyaLora } from './write-kohya.ts';

/** What the files of a target are made of. */
interface Parts {
  base: DiffusionFile;
  pairs: LoraPair[];
  places: LoraPlaces;
  /** of the export, and of its file where it has one */
  name: string;
  onTensor: (done: number, total: number) => void;
}

interface Writer {
  /** asked before anything is computed. @throws UserError for a model that the target can't hold */
  check?: (base: DiffusionFile) => unknown;
  /** writes into a folder; gives what the user should know, a sentence each */
  write: (folder: string, parts: Parts) => Promise<string[]>;
  /** where a merged target's model can be opened */
  modelOf?: (folder: string, name: string) => string;
}

const single = (folder: string, name: string) => path.join(folder, `${name}.safetensors`);

/** How the plain LoRA of a model that makes pictures, or the model with it, is written for other programs. */
export const PICTURE_WRITERS: Record<PictureTarget, Writer> = {
  diffusers: {
    async write(folder, { pairs, places }) {
      await fsp.writeFile(path.join(folder, DIFFUSERS_FILE), encodeDiffusersLora(pairs, places));
      return [];
    },
  },
  kohya: {
    async write(folder, { pairs, places, name, base }) {
      await fsp.writeFile(single(folder, name), encodeKohyaLora(pairs, places, { name, base }));
      return [];
    },
  },
  'merged-diffusers': {
    check: checkFolder,
    write: (folder, { base, pairs, onTensor }) => writeMergedFolder(folder, base, pairs, onTensor),
    modelOf: (folder) => folder,
  },
  'merged-checkpoint': {
    check: refuseUntold,
    async write(folder, { base, pairs, name, onTensor }) {
      // Others were refused before.
      const own = base as UNetFile;
      const to = single(folder, name);
      if (isCheckpoint(own)) return rewriteCheckpoint(to, own, pairs, onTensor);
      await writeCheckpoint(to, own, pairs, name, onTensor);
      return [];
    },
    modelOf: single,
  },
};
