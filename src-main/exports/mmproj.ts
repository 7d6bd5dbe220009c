import { writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { openTensors } from '../models/huggingface-weights.ts';
import { readFloats } from '../models/safetensors.ts';
import type { SeeingFile } from '../models/types.ts';
import { openPictureProcessor } from '../models/vision/preparation/open.ts';
import { openMmproj } from '../models/vision/mmproj/header.ts';
import { mmprojTensors } from '../models/vision/mmproj/tensors.ts';
import { visionName } from '../models/vision/towers/names.ts';
import { changeableTensors } from '../models/vision/towers/sites.ts';
import { isMmproj, openSeeingSource } from '../models/vision/towers/source.ts';
import type { MergedTensors } from './merge.ts';
import { mmprojMetadata } from './mmproj-metadata.ts';

/** https://github.com/ggml-org/llama.cpp/issues/25814 */
const CLASS_TOKEN =
  "llama.cpp, as of October 2026, puts CLIP's class token behind the patches of a picture and not before them: it sees pictures of such a model shifted by a patch (its issue 25814).";

/**
 * All that an mmproj file says beside its tensors.
 * @throws UserError for what llama.cpp has no words for, or where a file of the folder is missing
 */
export async function mmprojEntries({ place, config }: SeeingFile): Promise<Map<string, Uint8Array>> {
  return mmprojMetadata(config, (await openPictureProcessor(place)).options, place);
}

/** What llama.cpp does otherwise with such a model's pictures, a sentence each. */
export const mmprojNotes = ({ config }: SeeingFile): string[] => (config.tower.kind === 'clip' ? [CLASS_TOKEN] : []);

/**
 * Writes what a model sees with, and what that learned, as an mmproj file, which llama.cpp takes beside the language model's GGUF.
 * @throws UserError as `mmprojEntries`
 */
export async function writeMmproj(file: string, sees: SeeingFile, merged: MergedTensors): Promise<void> {
  if (isMmproj(sees.place)) return rewriteMmproj(file, sees, merged);
  const entries = await mmprojEntries(sees);
  const { entries: found, close } = await openTensors(sees.place, visionName);
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

/** The mmproj that a model was opened with again, byte for byte but for the tensors that changed. */
async function rewriteMmproj(file: string, { place, config }: SeeingFile, merged: MergedTensors): Promise<void> {
  const [{ opened }, source] = [await openMmproj(place), await openSeeingSource(place)];
  try {
    const changed = new Map<string, () => Promise<Uint8Array>>();
    for (const { name, shape } of changeableTensors(config).filter((tensor) => merged.changesSeen(tensor.name)))
      for (const part of mmprojTensors(name, shape, config))
        changed.set(part.name, async () => {
          const values = await source.find(name, shape)!.read();
          return new Uint8Array(part.of(await merged.seen(name, values)).buffer);
        });
    const tensors = [...opened.header.tensors.values()].map((tensor): GgufTensorToWrite => {
      const { name, shape, type } = tensor;
      const bytes = changed.get(name);
      return bytes ? { name, shape, type: 'f32', bytes } : { name, shape, type, bytes: () => opened.read(tensor) };
    });
    await writeGguf(file, opened.header.entries, tensors);
  } finally {
    await opened.close();
    await source.close();
  }
}
