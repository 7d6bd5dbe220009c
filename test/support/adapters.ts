import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAdapterDescription, type AdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { adapterTensors, adaptedSites, headNames } from '../../src-main/effilora/methods/structure.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { seeingSites } from '../../src-main/models/vision/towers/sites.ts';
import { modelSites } from '../../src-main/models/weights.ts';

export const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 2, heads: 3, alpha: 4, targets: ['q_proj', 'v_proj', 'down_proj'], share: 'global' },
  ...{ router: 'site', dropout: 0, rsLora: false, dora: false },
};

/** Writes an adapter with random tensors for the model at `model`, B times `strength`, as a training would leave it. */
export async function writeRandomAdapter(
  folder: string,
  model: string,
  {
    options = {},
    seed = 1,
    strength = 1,
  }: { options?: Partial<AdapterOptions>; seed?: number; strength?: number } = {},
): Promise<AdapterDescription> {
  const file = await openTextModel(model);
  const method = { ...OPTIONS, ...options };
  const sites = adaptedSites([...modelSites(file.config), ...(file.sees ? seeingSites(file.sees.config) : [])], method);
  const tensors = adapterTensors(sites, method).map(({ name, role, shape, width }) => {
    const bound = (role === 'B' ? strength : 1) / Math.sqrt(width);
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, shape, data: uniform(seed, name, size, -bound, bound), dtype: 'F32' as const };
  });
  const names = headNames(sites, method);
  const importance = uniform(seed, 'importance', names.length, 0, 1);
  const description: AdapterDescription = {
    method,
    baseModel: { name: file.name, architecture: file.config.architecture, sha256: await file.sha256() },
    datasets: [{ name: 'rows.jsonl', sha256: 'a'.repeat(64), examples: 12 }],
    recipe: {
      model,
      dataset: [{ path: '/nowhere/rows.jsonl', weight: 1 }],
      method: { name: method.name },
      training: { sequenceLength: 64, evalSplit: 4 },
      engine: 'wasm',
    },
    metrics: { steps: 20, loss: 2.5, evalLoss: 2.75 },
    heads: Object.fromEntries(
      names.map((name, head) => [name, { importance: importance[head]!, frozenSince: null, dropped: false }]),
    ),
    renormalize: false,
  };
  await file.close();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'adapter.safetensors'), encodeSafetensors(tensors));
  writeFileSync(join(folder, 'adapter.json'), formatAdapterDescription(description));
  return description;
}
