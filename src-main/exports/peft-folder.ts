import fsp from 'node:fs/promises';
import path from 'node:path';
import type { NamedTensor } from '../effilora/types.ts';
import { encodeSafetensors } from '../models/safetensors.ts';

/** What a method's configuration says beside what all have. */
export interface PeftConfig {
  peft_type: 'LORA' | 'VERA' | 'ADALORA';
  target_modules: string[] | string;
  modules_to_save: string[] | null;
  [option: string]: unknown;
}

/** Writes PEFT's two files, f32 (PEFT's own format, peft.utils.save_and_load). @param tensors under PEFT's names */
export async function writePeftFolder(
  folder: string,
  baseModel: string,
  { peft_type, ...own }: PeftConfig,
  tensors: NamedTensor[],
): Promise<void> {
  const config = {
    ...{ peft_type, task_type: 'CAUSAL_LM', base_model_name_or_path: baseModel },
    ...own,
    ...{ bias: 'none', fan_in_fan_out: false, inference_mode: true },
  };
  const written = tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const }));
  await fsp.writeFile(path.join(folder, 'adapter_model.safetensors'), encodeSafetensors(written, { format: 'pt' }));
  await fsp.writeFile(path.join(folder, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`);
}
