import fsp from 'node:fs/promises';
import path from 'node:path';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { readSiteName, readSiteTensor } from '../effilora/names.ts';
import { encodeSafetensors } from '../models/safetensors.ts';
import { linearPath } from '../models/weights.ts';

/** `<layer>.<site>` as a module's name, which PEFT compares with the ends of the model's. */
const moduleOfSite = (place: string) => {
  const { block, site } = readSiteName(place)!;
  return linearPath(block, site);
};

/** Writes PEFT's two files of a plain LoRA, f32 (PEFT's own format, peft.utils.save_and_load). */
export async function writePeft(folder: string, { options, tensors }: PlainLora, baseModel: string): Promise<void> {
  const named = tensors.map(({ name, shape, data }) => {
    const { block, site, part: kind } = readSiteTensor(name)!;
    const module = `base_model.model.${linearPath(block, site)}`;
    const key = kind === 'magnitude' ? `${module}.lora_magnitude_vector` : `${module}.lora_${kind}.weight`;
    return { name: key, dtype: 'F32' as const, shape: kind === 'B' ? shape.slice(1) : shape, data };
  });
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r: options.rank,
    lora_alpha: options.alpha,
    lora_dropout: 0,
    target_modules: options.sites?.map(moduleOfSite) ?? options.targets,
    bias: 'none',
    use_rslora: options.rsLora,
    use_dora: options.dora,
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
  };
  await fsp.writeFile(path.join(folder, 'adapter_model.safetensors'), encodeSafetensors(named, { format: 'pt' }));
  await fsp.writeFile(path.join(folder, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`);
}
