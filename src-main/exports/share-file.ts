import fs from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { stringify } from 'yaml';
import { ZipFile } from 'yazl';
import { formatAdapterDescription } from '../effilora/adapter-schema.ts';
import { encodeSafetensors } from '../models/safetensors.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';
import { withoutFolders } from './model-card.ts';
import type { Sample } from './samples.ts';

/** The files of an `.effilora` zip, and how large a text among them may be, bytes. */
export const SHARE_FILES = {
  tensors: 'adapter.safetensors',
  description: 'adapter.json',
  recipe: 'recipe.yaml',
  card: 'README.md',
  headMap: 'head-map.svg',
  samples: 'samples.json',
} as const;
export const MAX_TEXT_BYTES = 16 << 20;

/**
 * Writes an adapter as one file to share: a zip whose tensors are stored as they are (they don't compress) and whose texts are
 * deflated. Folders of this machine are left out of the recipe.
 */
export async function writeShareFile(
  file: string,
  { description, tensors }: StoredAdapter,
  texts: { card: string; headMap: string; samples: Sample[] },
): Promise<void> {
  const recipe = withoutFolders(description.recipe);
  const zip = new ZipFile();
  const encoded = encodeSafetensors(
    tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
    { format: 'pt' },
  );
  const add = (name: string, text: string) => zip.addBuffer(Buffer.from(text), name);
  add(SHARE_FILES.description, formatAdapterDescription({ ...description, recipe }));
  add(SHARE_FILES.recipe, stringify(recipe));
  add(SHARE_FILES.card, texts.card);
  add(SHARE_FILES.headMap, texts.headMap);
  add(SHARE_FILES.samples, JSON.stringify(texts.samples, null, 1));
  zip.addBuffer(Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength), SHARE_FILES.tensors, {
    compress: false,
  });
  zip.end();
  await pipeline(zip.outputStream, fs.createWriteStream(file));
}
