import { basename } from 'node:path';
import { FOLDER_MODELS, PACKAGED_MODELS } from '../../models/default-model.ts';

/** What a person calls a base model, wherever it is shown: by its path, or by the name that the trainer resolves. */
export function nameOfModel(reference: string): string {
  const file = basename(reference.replaceAll('\\', '/'));
  const packaged = PACKAGED_MODELS.find((model) => model.name === reference || model.file === file);
  if (packaged) return packaged.title;
  const ours = FOLDER_MODELS.find(({ name, folder }) => reference === name || reference === folder);
  if (ours) return ours.title;
  // Hugging Face's cache: models--<owner>--<name>/snapshots/<commit>
  const cached = /models--([^/\\]+)[/\\]snapshots[/\\]/.exec(reference)?.[1];
  return cached ? cached.replaceAll('--', '/') : file.replace(/\.(gguf|safetensors)$/i, '');
}
