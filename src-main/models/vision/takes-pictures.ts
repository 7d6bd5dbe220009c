import fs from 'node:fs';
import path from 'node:path';
import { readJsonFile } from '../json-file.ts';
import { mmprojBeside } from './mmproj/beside.ts';

export const MOST_CONFIG_BYTES = 16 << 20;
const FAMILIES = ['idefics3', 'smolvlm', 'llava', 'gemma3', 'qwen2_5_vl'];

/** Whether a folder's config.json is that of a model with pictures, or an mmproj lies beside a GGUF. @throws UserError where it can't be read */
export async function takesPictures(folder: string): Promise<boolean> {
  if (/\.gguf$/i.test(folder)) return fs.existsSync(folder) && mmprojBeside(folder) !== undefined;
  const file = path.join(folder, 'config.json');
  if (!fs.existsSync(file)) return false;
  const json = (await readJsonFile(file, MOST_CONFIG_BYTES)) as {
    model_type?: unknown;
    vision_config?: unknown;
  } | null;
  return FAMILIES.includes(String(json?.model_type)) && json?.vision_config != null;
}
