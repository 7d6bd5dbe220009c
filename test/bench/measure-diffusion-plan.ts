import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { exampleSource } from '../../src-main/data/example-source.ts';
import type { DiffusionModelFile } from '../../src-main/models/diffusion/model-file.ts';
import { diffusionSites } from '../../src-main/models/diffusion/pipeline/network.ts';
import { openModelFile } from '../../src-main/models/open.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import type { CaptionedExample } from '../../src-main/tasks/diffusion/dataset.ts';
import { diffusionCost } from '../../src-main/tasks/diffusion/plan.ts';
import { completeFor } from '../../src-main/trainer/complete-for.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { adapterStructure, type DiffusionOptions } from './options.ts';
import { Runner } from './runner.ts';

type Configuration = Pick<DiffusionOptions, 'folder' | 'pictures' | 'size' | 'factor' | 'tokens' | 'recompute'>;

/** What the plan says that training steps at attention's sites take of memory, and the peak of a process that does three. */
export async function measureDiffusionPlan(given: Configuration): Promise<{ plannedBytes: number; peakBytes: number }> {
  const structure = { rank: 16, heads: 3 };
  const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
  const options: DiffusionOptions = { ...given, ...structure, work: 'train', steps: 0, threads };
  const program = fileURLToPath(new URL('./ours-diffusion.ts', import.meta.url));
  const runner = new Runner<{ peakBytes: number }>(process.execPath, ['--import', 'tsx', program], options);
  const { peakBytes } = await runner.run(3);
  runner.close();

  const { size, pictures, recompute, folder } = given;
  const training = { steps: 3, batch: pictures, evalSplit: 0, samples: 0, diffusion: { resolution: size } };
  const recipe = parseRecipe(stringify({ model: folder, dataset: 'none', training }), 'The recipe');
  const file = (await openModelFile(folder, () => undefined)) as DiffusionModelFile;
  completeFor(recipe, file);
  const targets = [...new Set(diffusionSites(file.diffusion).map(({ site }) => site))].filter((site) => site.startsWith('unet.attn')); // prettier-ignore
  const train = exampleSource(pictures, () => 1, () => ({ picture: { bucketWidth: size, bucketHeight: size } }) as CaptionedExample); // prettier-ignore
  const engine = engineFacts({ name: 'tensorflow', kind: 'cpu' });
  const cost = diffusionCost(recipe, { ...adapterStructure(structure), targets }, file, train, engine);
  await file.close();
  return { plannedBytes: cost.memory(recompute).total, peakBytes };
}
