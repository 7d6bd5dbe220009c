import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAdapterDescription, type AdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { adapterTensors, adaptedSites, headNames } from '../../src-main/effilora/methods/structure.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import type { AdapterOptions, SiteShape } from '../../src-main/effilora/types.ts';
import { DiffusionModel } from '../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { seeingSites } from '../../src-main/models/vision/towers/sites.ts';
import { modelSites } from '../../src-main/models/weights.ts';

export const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 2, heads: 3, alpha: 4, targets: ['q_proj', 'v_proj', 'down_proj'], share: 'global' },
  ...{ router: 'site', dropout: 0, rsLora: false, dora: false },
};

interface Random {
  options?: Partial<AdapterOptions>;
  seed?: number;
  strength?: number;
}

/** Writes an adapter with random tensors for the model at `model`, B times `strength`, as a training would leave it. */
export async function writeRandomAdapter(
  folder: string,
  model: string,
  random: Random = {},
): Promise<AdapterDescription> {
  const file = await openTextModel(model);
  const sites = [...modelSites(file.config), ...(file.sees ? seeingSites(file.sees.config) : [])];
  const baseModel = { name: file.name, architecture: file.config.architecture, sha256: await file.sha256() };
  await file.close();
  const recipe = {
    model,
    dataset: [{ path: '/nowhere/rows.jsonl', weight: 1 }],
    training: { sequenceLength: 64, evalSplit: 4 },
    engine: 'wasm',
  };
  return writeRandom(folder, { sites, baseModel, recipe }, random);
}

/** The same for a folder of diffusers, trained on the pictures at `data`; needs an engine. */
export async function writeRandomPainter(
  folder: string,
  model: string,
  data: string,
  random: Random,
): Promise<AdapterDescription> {
  const opened = await DiffusionModel.load(await openDiffusionFolder(model));
  const [sites, architecture] = [opened.sites(), opened.architecture];
  opened.dispose();
  const baseModel = { name: 'painter', architecture, sha256: '0'.repeat(64) };
  const training = { steps: 20, evalSplit: 2, diffusion: { resolution: 16 } };
  const recipe = { model, dataset: [{ path: data, weight: 1 }], training, engine: 'tensorflow' };
  return writeRandom(folder, { sites, baseModel, recipe }, random);
}

function writeRandom(
  folder: string,
  on: { sites: SiteShape[] } & Pick<AdapterDescription, 'baseModel' | 'recipe'>,
  { options = {}, seed = 1, strength = 1 }: Random,
): AdapterDescription {
  const method = { ...OPTIONS, ...options };
  const sites = adaptedSites(on.sites, method);
  const tensors = adapterTensors(sites, method).map(({ name, role, shape, width }) => {
    const bound = (role === 'B' ? strength : 1) / Math.sqrt(width);
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, shape, data: uniform(seed, name, size, -bound, bound), dtype: 'F32' as const };
  });
  const names = headNames(sites, method);
  const importance = uniform(seed, 'importance', names.length, 0, 1);
  const description: AdapterDescription = {
    method,
    baseModel: on.baseModel,
    datasets: [{ name: 'rows.jsonl', sha256: 'a'.repeat(64), examples: 12 }],
    recipe: { method: { name: method.name }, ...on.recipe },
    metrics: { steps: 20, loss: 2.5, evalLoss: 2.75 },
    heads: Object.fromEntries(
      names.map((name, head) => [name, { importance: importance[head]!, frozenSince: null, dropped: false }]),
    ),
    renormalize: false,
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'adapter.safetensors'), encodeSafetensors(tensors));
  writeFileSync(join(folder, 'adapter.json'), formatAdapterDescription(description));
  return description;
}
