import { writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { openTensors } from '../models/huggingface-weights.ts';
import { readFloats } from '../models/safetensors.ts';
import type { SeeingFile } from '../models/types.ts';
import { openPictureProcessor } from '../models/vision/preparation/open.ts';
import { visionName } from '../models/vision/towers/loader.ts';
import type { MergedTensors } from './merge.ts';
import { mmprojMetadata } from './mmproj-metadata.ts';
import { mmprojTensors } from './mmproj-tensors.ts';

/** https://github.com/ggml-org/llama.cpp/issues/25814 */
const CLASS_TOKEN =
  "llama.cpp, as of October 2026, puts CLIP's class token behind the patches of a picture and not before them: it sees pictures of such a model shifted by a patch (its issue 25814).";

/**
 * All that an mmproj file says beside its tensors.
 * @throws UserError for what llama.cpp has no words for, or where a file of the folder is missing
 */
export async function mmprojEntries({ folder, config }: SeeingFile): Promise<Map<string, Uint8Array>> {
  return mmprojMetadata(config, (await openPictureProcessor(folder)).options, folder);
}

/** What llama.cpp does otherwise with such a model's pictures, a sentence each. */
export const mmprojNotes = ({ config }: SeeingFile): string[] => (config.tower.kind === 'clip' ? [CLASS_TOKEN] : []);

/**
 * Writes what a model sees with, and what that learned, as an mmproj file, which llama.cpp takes beside the language model's GGUF.
 * @throws UserError as `mmprojEntries`
 */
export async function writeMmproj(file: string, sees: SeeingFile, merged: MergedTensors): Promise<void> {
  const entries = await mmprojEntries(sees);
  const { entries: found, close } = await openTensors(sees.folder, visionName);
  try {
    const tensors = [...found].flatMap(([ours, { reader, entry }]) =>
      mmprojTensors(ours, entry.shape, sees.config).map(({ name, shape, of }): GgufTensorToWrite => {
        const bytes = async () => new Uint8Array(of(await merged.seen(ours, await readFloats(reader, entry))).buffer);
        return { name, shape, type: 'f32', bytes };
      }),
    );
    await writeGguf(file, entries, tensors);
  } finally {
    await close();
  }
}
