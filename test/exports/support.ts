import { Adapter } from '../../src-main/effilora/adapter.ts';
import type { AdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import { sitesOfFile } from '../../src-main/models/file-sites.ts';
import { writeStoredAdapter } from '../../src-main/trainer/adapter-folder.ts';
import type { StoredAdapter } from '../../src-main/trainer/stored-adapter.ts';

/** How large the random tensors are: B's decides how much the adapter changes. */
export interface Sizes {
  B: number;
  router: number;
}

/** An adapter for a model, its tensors random so that every head does something; needs an engine open. */
export async function randomAdapter(
  modelPath: string,
  changes: Partial<AdapterOptions> = {},
  sizes: Sizes = { B: 0.1, router: 2 },
  recipe: Record<string, unknown> = {},
): Promise<StoredAdapter> {
  const file = await openTextModel(modelPath);
  const method: AdapterOptions = {
    name: 'effilora',
    rank: 4,
    heads: 3,
    alpha: 8,
    targets: [...DECODER_SITES],
    share: 'global',
    router: 'site',
    dropout: 0,
    rsLora: false,
    dora: false,
    ...changes,
  };
  const adapter = new Adapter(sitesOfFile(file).sites, method, 3);
  const tensors = (await adapter.export()).map((tensor) => {
    const bound = tensor.name.endsWith('.B') ? sizes.B : tensor.name.includes('router') ? sizes.router : 0.1;
    const magnitude = tensor.name.endsWith('.magnitude') ? 1 : 0;
    const data = uniform(7, tensor.name, tensor.data.length, magnitude - bound, magnitude + bound);
    // what AdaLoRA left out, at one site all of it
    if (tensor.name.endsWith('.lambda'))
      data.forEach((_, row) => (row % 3 === 1 || tensor.name.startsWith('layers.1.k_proj')) && (data[row] = 0));
    return { ...tensor, data: Float32Array.from(data) };
  });
  const heads = adapter.heads.map((name, i) => [
    name,
    { importance: 1 + ((i * 7) % 11), frozenSince: null, dropped: false },
  ]);
  adapter.dispose();
  const description: AdapterDescription = {
    method,
    baseModel: { name: file.name, architecture: file.config.architecture, sha256: await file.sha256() },
    datasets: [],
    recipe: { model: modelPath, ...recipe },
    metrics: { evalLoss: 1.25 },
    heads: Object.fromEntries(heads) as AdapterDescription['heads'],
    renormalize: false,
  };
  await file.close();
  return { description, tensors };
}

/** The same, in a folder. */
export async function writeRandomAdapter(folder: string, ...args: Parameters<typeof randomAdapter>): Promise<string> {
  await writeStoredAdapter(folder, await randomAdapter(...args));
  return folder;
}
