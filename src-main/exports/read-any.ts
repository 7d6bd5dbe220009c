import type { ModelConfig } from '../models/types.ts';
import { readAdapter } from '../trainer/adapter-folder.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';
import { readGgufLora } from './read-gguf-lora.ts';
import { readShareFile } from './read-share-file.ts';

/**
 * Reads an adapter of any kind: an EffiLoRA adapter, a PEFT folder, a GGUF LoRA file, an `.effilora` file.
 * @param config of its base model
 * @throws UserError in one sentence for whatever is damaged, hostile, or made for something else
 */
export async function readAnyAdapter(place: string, config: ModelConfig): Promise<StoredAdapter> {
  if (/\.gguf$/i.test(place)) return readGgufLora(place, config);
  return isShareFile(place) ? readShareFile(place) : readAdapter(place);
}

/** The base model's path or name in an adapter's recipe; undefined where the adapter doesn't say. */
export async function modelOfAdapter(place: string): Promise<string | undefined> {
  if (/\.gguf$/i.test(place)) return undefined;
  const { description } = await (isShareFile(place) ? readShareFile(place) : readAdapter(place));
  const { model } = description.recipe;
  return typeof model === 'string' ? model : undefined;
}

const isShareFile = (place: string) => /\.effilora$/i.test(place);
