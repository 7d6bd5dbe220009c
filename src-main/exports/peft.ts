import fsp from 'node:fs/promises';
import path from 'node:path';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { readSiteName, readSiteTensor } from '../effilora/names.ts';
import { encodeSafetensors } from '../models/safetensors.ts';
import { linearPath } from '../models/weights.ts';
import { nameInside } from './seeing-names.ts';

/**
 * Writes PEFT's two files of a plain LoRA, f32 (PEFT's own format, peft.utils.save_and_load).
 * @param language where the adapted language model is in the whole one
 */
export async function writePeft(
  folder: string,
  { options, tensors }: PlainLora,
  baseModel: string,
  language = 'model',
): Promise<void> {
  const named = tensors.map(({ name, shape, data }) => {
    const { block, site, part: kind } = readSiteTensor(name)!;
    const module = `base_model.model.${nameInside(linearPath(block, site), language)}`;
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
    target_modules: targetModules(options, language),
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

/** What PEFT compares with the ends of modules' names, or, as one text, with the whole name as a regular expression. */
function targetModules({ sites, targets }: PlainLora['options'], language: string): string[] | string {
  const moduleOf = (place: string) => {
    const { block, site } = readSiteName(place)!;
    return nameInside(linearPath(block, site), language);
  };
  if (sites) return sites.map(moduleOf);
  // What sees pictures has linears of the same names, which are not adapted.
  if (language === 'model') return targets;
  return `${language.replaceAll('.', '\\.')}\\.layers\\.\\d+\\.(self_attn|mlp)\\.(${targets.join('|')})`;
}
