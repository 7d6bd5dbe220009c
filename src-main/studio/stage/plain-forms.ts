import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Adapter } from '../../effilora/adapter.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import type { PlainLora } from '../../effilora/exports/plain-lora.ts';
import { isRouted } from '../../effilora/methods/registry.ts';
import { UserError } from '../../engine/types.ts';
import { pictureData } from '../../exports/diffusion/data.ts';
import { plainForm } from '../../exports/fidelity.ts';
import { Progress } from '../../exports/progress.ts';
import type { ExportForm } from '../../exports/request.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { recipeSchema } from '../../recipe/recipe.ts';
import type { TrainableModel } from '../../tasks/task.ts';

/** An adapter on a model that makes pictures; whoever asked for it disposes it. */
export interface AdapterOfPainter {
  adapter: Adapter;
  description: AdapterDescription;
}

interface Asked extends AdapterOfPainter {
  folder: string;
  form: ExportForm;
  log(line: string): void;
  signal: AbortSignal;
}
interface On {
  file: DiffusionModelFile;
  network: TrainableModel;
}

/** Fitting goes over the training data: so many are kept. */
const KEPT = 6;

/**
 * Adapters as the plain LoRA that an export writes: fitted once each, then remembered. The given adapter is disposed, the plain one is the
 * caller's.
 * @throws UserError where the data that it is fitted on is gone, the signal's reason
 */
export function plainForms() {
  const fitted = new Map<string, PlainLora>();
  return async (
    { file, network }: On,
    { adapter, description, folder, form, log, signal }: Asked,
  ): Promise<Adapter> => {
    try {
      const { mtimeMs } = await stat(join(folder, 'adapter.safetensors'));
      const key = [folder, mtimeMs, form, ...adapter.dropped.heads, adapter.dropped.renormalize].join(' ');
      const plain = fitted.get(key) ?? (await fit());
      fitted.set(key, plain);
      if (fitted.size > KEPT) fitted.delete(fitted.keys().next().value!);
      const made = new Adapter(network.sites(), plain.options, 0);
      made.import(plain.tensors);
      return made;
    } finally {
      adapter.dispose();
    }
    async function fit(): Promise<PlainLora> {
      const data = await pictureData({ description }, file);
      if (!data && isRouted(adapter.options))
        throw new UserError('The adapter’s training data is not there any more, and what an export paints is fitted on it. Put it back where it was.'); // prettier-ignore
      const progress = new Progress(({ done, total }) => log(`Making what an export would hold, ${Math.round((100 * done) / Math.max(1, total))} %`), signal); // prettier-ignore
      const diffusion = recipeSchema.safeParse(description.recipe).data?.training.diffusion;
      return plainForm({ file, model: network, adapter, batches: data?.batches ?? [], diffusion, progress }, form);
    }
  };
}
