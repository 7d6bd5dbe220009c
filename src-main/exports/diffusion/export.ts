import fsp from 'node:fs/promises';
import path from 'node:path';
import type { ExportTarget } from '../../../src-preload/contract/choices.ts';
import type { DatasetSource } from '../../data/dataset.ts';
import { checkAdapterTensors } from '../../effilora/adapter-file.ts';
import { isRouted } from '../../effilora/methods/registry.ts';
import { openEngine } from '../../engine/index.ts';
import { UserError, type EngineName } from '../../engine/types.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import { recipeSchema } from '../../recipe/recipe.ts';
import { taskOf } from '../../tasks/registry.ts';
import { adapterOnModel } from '../../trainer/adapter-folder.ts';
import { heldBy } from '../../trainer/held.ts';
import type { StoredAdapter } from '../../trainer/stored-adapter.ts';
import { fit, type Fitted } from '../fidelity.ts';
import { headMapSvg } from '../head-map.ts';
import { modelCard } from '../model-card.ts';
import { listFiles, writeNewFolder } from '../new-folder.ts';
import type { Progress } from '../progress.ts';
import { isPictureTarget, PICTURE_TARGETS, type ExportForm, type ExportResult, type ExportType, type FidelityReport } from '../request.ts'; // prettier-ignore
import { writeShareFile } from '../share-file.ts';
import { pictureData, type PictureData } from './data.ts';
import { measureMerged } from './measure-merged.ts';
import { pairsOfPlain } from './pairs.ts';
import { loraPlaces } from './places.ts';
import { PICTURE_WRITERS } from './targets.ts';

interface PictureExport {
  adapter: string;
  name: string;
  to: ExportTarget;
  type: ExportType;
  out: string;
  form: ExportForm;
  calibrate?: DatasetSource;
  engine?: EngineName | 'auto';
}

/** One export under way. */
interface Work {
  stored: StoredAdapter;
  file: DiffusionModelFile;
  request: PictureExport;
  progress: Progress;
}

/**
 * Writes the adapter of a model that makes pictures as it is, or as a LoRA or a merged model of other programs and how close that comes,
 * with its card. The file is closed.
 * @throws UserError for a target of models that write, what a target can't say, or where the plain LoRA's data is not there
 */
export async function exportPictures(
  stored: StoredAdapter,
  file: DiffusionModelFile,
  request: PictureExport,
  progress: Progress,
): Promise<ExportResult> {
  const work = { stored, file, request, progress };
  try {
    return await (request.to === 'effilora' ? shareAdapter(work) : approximate(work));
  } finally {
    await file.close();
  }
}

/** The adapter itself as one file: nothing is fitted, so that no engine is needed. */
async function shareAdapter(work: Work): Promise<ExportResult> {
  const { stored, file, request, progress } = work;
  const sites = diffusionSites(file.diffusion);
  checkAdapterTensors(stored.tensors, sites, stored.description, path.basename(request.adapter));
  progress.at('opening', 1, 1);
  await writeNewFolder(request.out, async (folder) => {
    progress.at('writing', 0, 1);
    const texts = await writeTexts(folder, work, null);
    await writeShareFile(path.join(folder, `${request.name}.effilora`), stored, { ...texts, samples: [] });
    progress.at('writing', 1, 1);
  });
  return { folder: request.out, files: await listFiles(request.out), fidelity: null, warnings: file.warnings ?? [] };
}

/** A plain LoRA, or a model it is merged into, and how close that comes. */
async function approximate(work: Work): Promise<ExportResult> {
  const { stored, file, request, progress } = work;
  const { to, out, name } = request;
  if (!isPictureTarget(to))
    throw new UserError(`--to ${to} is for models that write, and ${file.name} makes pictures; take ${PICTURE_TARGETS.join(', ')} or effilora`); // prettier-ignore
  const writer = PICTURE_WRITERS[to];
  await writer.check?.(file.diffusion);
  const data = await pictureData(stored, file, request.calibrate);
  const { plain, report } = await fitted(work, data);
  const places = loraPlaces(file.diffusion);
  const pairs = pairsOfPlain(plain, places);
  const warnings = [...(file.warnings ?? [])];
  let fidelity = report;
  await writeNewFolder(out, async (folder) => {
    progress.at('writing', 0, 1);
    const onTensor = (done: number, total: number) => progress.at('writing', done, total);
    warnings.push(...(await writer.write(folder, { base: file.diffusion, pairs, places, name, onTensor })));
    const written = writer.modelOf?.(folder, name);
    if (written !== undefined) fidelity = await measureMerged(written, data, report, progress);
    await writeTexts(folder, work, fidelity);
    await fsp.writeFile(path.join(folder, 'fidelity.json'), `${JSON.stringify(fidelity, null, 1)}\n`);
    progress.at('writing', 1, 1);
  });
  return { folder: out, files: await listFiles(out), fidelity, warnings };
}

/** The adapter's plain LoRA; the model is in memory for that long only. @throws UserError where there is no data to fit it on */
async function fitted({ stored, file, request, progress }: Work, data: PictureData | undefined): Promise<Fitted> {
  await openEngine(request.engine ?? 'auto', heldBy(file));
  const model = await taskOf(file).load(file);
  try {
    const adapter = adapterOnModel(stored, model, request.adapter);
    progress.at('opening', 1, 1);
    if (!data && isRouted(adapter.options))
      throw new UserError("The adapter's training data is not there any more; name a dataset like it with --calibrate, which the export needs"); // prettier-ignore
    const diffusion = recipeSchema.safeParse(stored.description.recipe).data?.training.diffusion;
    const fitting = { file, model, adapter, batches: data?.batches ?? [], diffusion, progress };
    return await fit(fitting, data, request.form).finally(() => adapter.dispose());
  } finally {
    model.dispose();
  }
}

/** Card and head map, in the folder and as texts. */
async function writeTexts(folder: string, { stored, request }: Work, fidelity: FidelityReport | null) {
  const { name, to, type } = request;
  const { description } = stored;
  const card = modelCard({ name, description, makes: 'pictures', to, type, fidelity });
  const headMap = headMapSvg(description);
  await fsp.writeFile(path.join(folder, 'README.md'), card);
  await fsp.writeFile(path.join(folder, 'head-map.svg'), headMap);
  return { card, headMap };
}
