import type { Adapter } from '../effilora/adapter.ts';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { scaleOf, siteTensors } from '../effilora/methods/structure.ts';
import { headName } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { type Base, modulesOf, targetModulesOf } from './peft.ts';
import { writePeftFolder } from './peft-folder.ts';

/**
 * Writes PEFT's two files of a VeRA (its VeraConfig), A and B among the tensors: nothing hangs on how PyTorch draws them. PEFT has no
 * scale, so that ours lies in its B; the b of places that are left out is zero.
 * @param plain what the adapter is as a plain LoRA: its places
 */
export async function writePeftVera(
  folder: string,
  adapter: Adapter,
  plain: PlainLora,
  baseModel: string,
  base: Base,
): Promise<void> {
  const { options } = adapter;
  const tensors = new Map((await adapter.export()).map((tensor) => [tensor.name, tensor]));
  const moduleOf = modulesOf(base);
  const scale = scaleOf(options);
  const [A, B] = [tensors.get('shared.A')!, tensors.get('shared.B')!];
  const shared = [
    { name: 'base_model.vera_A', shape: A.shape, data: A.data },
    { name: 'base_model.vera_B', shape: B.shape.slice(1), data: B.data.map((value) => scale * value) },
  ];
  const own = adapter.sites.flatMap((site): NamedTensor[] => {
    const names = siteTensors(site, options);
    const module = `base_model.model.${moduleOf(site)}`;
    const [d, b] = [tensors.get(names.lambda_d!)!, tensors.get(names.lambda_b!)!];
    const isOut = adapter.dropped.heads.has(headName({ ...site, head: 0 }));
    return [
      { ...d, name: `${module}.vera_lambda_d` },
      { ...b, name: `${module}.vera_lambda_b`, data: isOut ? new Float32Array(b.data.length) : b.data },
    ];
  });
  const config = {
    peft_type: 'VERA' as const,
    r: options.rank,
    target_modules: targetModulesOf(plain, base),
    d_initial: options.vera!.dInitial,
    projection_prng_key: 0,
    save_projection: true,
    vera_dropout: 0,
    modules_to_save: null,
    init_weights: true,
  };
  await writePeftFolder(folder, baseModel, config, [...shared, ...own]);
}
