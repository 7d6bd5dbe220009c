import type { Adapter } from '../effilora/adapter.ts';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { scaleOf, siteTensors } from '../effilora/methods/structure.ts';
import { headName } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { type Base, modulesOf, targetModulesOf } from './peft.ts';
import { writePeftFolder } from './peft-folder.ts';

/**
 * Writes PEFT's two files of an AdaLoRA (its AdaLoraConfig): each place with the triplets that stay, and which of the first rank they
 * are. How they were chosen is of no account any more: the schedule there is one of a single step.
 * @param plain what the adapter is as a plain LoRA: its places
 */
export async function writePeftAdalora(
  folder: string,
  adapter: Adapter,
  plain: PlainLora,
  baseModel: string,
  base: Base,
): Promise<void> {
  const { options, sites } = adapter;
  const tensors = new Map((await adapter.export()).map((tensor) => [tensor.name, tensor]));
  const moduleOf = modulesOf(base);
  const pattern: Record<string, boolean[]> = {};
  const named = sites.flatMap((site): NamedTensor[] => {
    const names = siteTensors(site, options);
    const module = moduleOf(site);
    const isOut = adapter.dropped.heads.has(headName({ ...site, head: 0 }));
    const lambda = tensors.get(names.lambda!)!.data;
    const stays = [...lambda].map((value) => value !== 0 && !isOut);
    pattern[`${module}.lora_E`] = stays;
    const kept = stays.flatMap((is, row) => (is ? [row] : []));
    const key = (part: string) => `base_model.model.${module}.lora_${part}`;
    const [a, b] = [tensors.get(names.A)!.data, tensors.get(names.B)!.data];
    return [
      { name: key('E'), shape: [kept.length, 1], data: Float32Array.from(kept, (row) => lambda[row]!) },
      { name: key('A'), shape: [kept.length, site.inFeatures], data: rowsOf(a, kept, site.inFeatures) },
      { name: key('B'), shape: [site.outFeatures, kept.length], data: columnsOf(b, kept, options.rank) },
    ];
  });
  const ranks = Object.values(pattern).map((stays) => stays.filter(Boolean).length);
  const config = {
    peft_type: 'ADALORA' as const,
    init_r: options.rank,
    target_r: Math.max(1, Math.round(ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length)),
    rank_pattern: pattern,
    // PEFT divides by the first rank, whatever stays.
    lora_alpha: scaleOf(options) * options.rank,
    lora_dropout: 0,
    target_modules: targetModulesOf(plain, base),
    ...{ tinit: 0, tfinal: 0, deltaT: 1, total_step: 1 },
    modules_to_save: null,
    init_lora_weights: true,
  };
  await writePeftFolder(folder, baseModel, config, named);
}

/** Some rows of a matrix [.., width]. */
function rowsOf(values: Float32Array, rows: number[], width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => out.set(values.subarray(row * width, (row + 1) * width), i * width));
  return out;
}

/** Some columns of a matrix [.., width]. */
function columnsOf(values: Float32Array, columns: number[], width: number): Float32Array {
  const count = values.length / width;
  return Float32Array.from(
    { length: count * columns.length },
    (_, i) => values[Math.floor(i / columns.length) * width + columns[i % columns.length]!]!,
  );
}
