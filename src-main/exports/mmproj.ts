import path from 'node:path';
import { writeGguf, type GgufTensorToWrite } from '../models/gguf/write.ts';
import { openTensors } from '../models/huggingface-weights.ts';
import { readJsonFile } from '../models/json-file.ts';
import { readFloats } from '../models/safetensors.ts';
import { openPictureProcessor } from '../models/vision/preparation/open.ts';
import { visionConfig, type VisionConfig } from '../models/vision/towers/config.ts';
import { visionName } from '../models/vision/towers/loader.ts';
import { mmprojMetadata } from './mmproj-metadata.ts';
import { mmprojTensors } from './mmproj-tensors.ts';

const MOST_CONFIG_BYTES = 16 << 20;
/** https://github.com/ggml-org/llama.cpp/issues/25814 */
const CLASS_TOKEN =
  "llama.cpp, as of October 2026, puts CLIP's class token behind the patches of a picture and not before them: it sees pictures of such a model shifted by a patch (its issue 25814).";

/**
 * Reads all that an mmproj file says beside its tensors.
 * @throws UserError for what llama.cpp has no words for, or where a file of the folder is missing
 */
export async function openMmproj(folder: string) {
  const configFile = path.join(folder, 'config.json');
  const config = visionConfig(await readJsonFile(configFile, MOST_CONFIG_BYTES), configFile);
  const { options } = await openPictureProcessor(folder);
  return { config, entries: mmprojMetadata(config, options, folder) };
}

/** What llama.cpp does otherwise with such a model's pictures, a sentence each. */
export const mmprojNotes = ({ tower }: VisionConfig): string[] => (tower.kind === 'clip' ? [CLASS_TOKEN] : []);

/**
 * Writes what a Hugging Face folder's model sees with as an mmproj file, which llama.cpp takes beside the language model's GGUF.
 * @throws UserError as `openMmproj`
 */
export async function writeMmproj(file: string, folder: string): Promise<void> {
  const { config, entries } = await openMmproj(folder);
  const { entries: found, close } = await openTensors(folder, visionName);
  try {
    const tensors = [...found].flatMap(([ours, { reader, entry }]) =>
      mmprojTensors(ours, entry.shape, config).map(({ name, shape, of }): GgufTensorToWrite => {
        const bytes = async () => new Uint8Array(of(await readFloats(reader, entry)).buffer);
        return { name, shape, type: 'f32', bytes };
      }),
    );
    await writeGguf(file, entries, tensors);
  } finally {
    await close();
  }
}
