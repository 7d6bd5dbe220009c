import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { OpenDataset } from '../../data/dataset.ts';
import { splitDataset } from '../../data/held-out.ts';
import { openEngine } from '../../engine/index.ts';
import { UserError, type EngineName } from '../../engine/types.ts';
import { checkAdapterTensors } from '../../effilora/adapter-file.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { diffusionSites } from '../../models/diffusion/pipeline/network.ts';
import { recipeSchema } from '../../recipe/recipe.ts';
import { taskOf } from '../../tasks/registry.ts';
import { adapterOnModel } from '../../trainer/adapter-folder.ts';
import { heldBy } from '../../trainer/held.ts';
import type { StoredAdapter } from '../../trainer/stored-adapter.ts';
import { fit, type MeasuredOn } from '../fidelity.ts';
import { headMapSvg } from '../head-map.ts';
import { modelCard } from '../model-card.ts';
import { listFiles, writeNewFolder } from '../new-folder.ts';
import type { Progress } from '../progress.ts';
import type { ExportTarget } from '../../../src-preload/contract/choices.ts';
import { isPictureTarget, PICTURE_TARGETS, type ExportForm, type ExportResult } from '../request.ts';
import { writeShareFile } from '../share-file.ts';
import { pairsOfPlain } from './pairs.ts';
import { loraPlaces } from './places.ts';
import { DIFFUSERS_FILE, encodeDiffusersLora } from './write-diffusers.ts';
import { encodeKohyaLora } from './write-kohya.ts';

interface PictureExport {
  adapter: string;
  name: string;
  to: ExportTarget;
  out: string;
  form: ExportForm;
  calibrate?: string;
  engine?: EngineName | 'auto';
}

/** Pictures that the plain LoRA is fitted on, and those that the loss is measured on, at most; where no recipe holds some out, this share. */
const CALIBRATED = 64;
const MEASURED = 64;
const HELD_OUT_SHARE = 0.1;
const AT_ONCE = 4;

interface PictureData extends MeasuredOn {
  batches: unknown[][];
}

/**
 * Writes the adapter of a model that makes pictures as it is, or as a LoRA of diffusers or kohya's scripts and how close that comes, with
 * its card. The file is closed.
 * @throws UserError for a target of models that write, or where the plain LoRA's data is not there
 */
export async function exportPictures(
  stored: StoredAdapter,
  file: DiffusionModelFile,
  request: PictureExport,
  progress: Progress,
): Promise<ExportResult> {
  const { to, out, name, form } = request;
  try {
    if (to === 'effilora') return await shareAdapter(stored, file, request, progress);
    if (!isPictureTarget(to))
      throw new UserError(`--to ${to} is for models that write, and ${file.name} makes pictures; take ${PICTURE_TARGETS.join(', ')} or effilora`); // prettier-ignore
    await openEngine(request.engine ?? 'auto', heldBy(file));
    const model = await taskOf(file).load(file);
    const adapter = adapterOnModel(stored, model, request.adapter);
    progress.at('opening', 1, 1);
    const { description } = stored;
    const diffusion = recipeSchema.safeParse(description.recipe).data?.training.diffusion;
    const data = await pictureData(stored, file, request.calibrate);
    if (!data && adapter.options.name !== 'lora')
      throw new UserError(`The adapter's training data is not there any more; name a dataset like it with --calibrate, which the export needs`); // prettier-ignore
    const { plain, report } = await fit({ file, model, adapter, batches: data?.batches ?? [], diffusion, progress }, data, form); // prettier-ignore
    adapter.dispose();
    model.dispose();
    const places = loraPlaces(file.diffusion);
    const pairs = pairsOfPlain(plain, places);
    const bytes = to === 'diffusers' ? encodeDiffusersLora(pairs, places) : encodeKohyaLora(pairs, places, { name, base: file.diffusion }); // prettier-ignore
    await writeNewFolder(out, async (folder) => {
      progress.at('writing', 0, 1);
      await fsp.writeFile(path.join(folder, to === 'diffusers' ? DIFFUSERS_FILE : `${name}.safetensors`), bytes);
      const card = modelCard({ name, description, makes: 'pictures', to, type: 'f32', fidelity: report });
      await fsp.writeFile(path.join(folder, 'README.md'), card);
      await fsp.writeFile(path.join(folder, 'head-map.svg'), headMapSvg(description));
      await fsp.writeFile(path.join(folder, 'fidelity.json'), `${JSON.stringify(report, null, 1)}\n`);
      progress.at('writing', 1, 1);
    });
    return { folder: out, files: await listFiles(out), fidelity: report, warnings: file.warnings ?? [] };
  } finally {
    await file.close();
  }
}

/** The adapter itself as one file: nothing is fitted, so that no engine is needed. */
async function shareAdapter(
  stored: StoredAdapter,
  { diffusion, warnings = [] }: DiffusionModelFile,
  { out, name, to, adapter }: PictureExport,
  progress: Progress,
): Promise<ExportResult> {
  const { description, tensors } = stored;
  checkAdapterTensors(tensors, diffusionSites(diffusion), description, path.basename(adapter));
  progress.at('opening', 1, 1);
  const card = modelCard({ name, description, makes: 'pictures', to, type: 'f32', fidelity: null });
  const headMap = headMapSvg(description);
  await writeNewFolder(out, async (folder) => {
    progress.at('writing', 0, 1);
    await writeShareFile(path.join(folder, `${name}.effilora`), stored, { card, headMap, samples: [] });
    await fsp.writeFile(path.join(folder, 'README.md'), card);
    await fsp.writeFile(path.join(folder, 'head-map.svg'), headMap);
    progress.at('writing', 1, 1);
  });
  return { folder: out, files: await listFiles(out), fidelity: null, warnings };
}

/** The dataset given, else the adapter's own, split as its recipe split it; undefined where neither is there. @throws UserError */
async function pictureData(
  { description }: StoredAdapter,
  file: DiffusionModelFile,
  calibrate?: string,
): Promise<PictureData | undefined> {
  const recipe = recipeSchema.safeParse(description.recipe).data;
  const named = typeof recipe?.dataset === 'string' ? [{ path: recipe.dataset }] : (recipe?.dataset ?? []);
  const sources =
    calibrate === undefined ? named.filter((source) => fs.existsSync(source.path)) : [{ path: calibrate }];
  if (sources.length === 0) return undefined;
  const task = taskOf(file);
  const { resolution, shapes, enlarge, trigger } = recipe?.training.diffusion ?? {};
  const reading = task.reading(file, { pictures: { resolution, shapes, enlarge, trigger } });
  const { evalSplit = 0, seed = 0 } = recipe?.training ?? {};
  const [train, heldOut]: [unknown[], unknown[]] = [[], []];
  for (const [index, source] of sources.entries()) {
    const split = await splitDataset(
      source,
      { evalSplit: evalSplit || HELD_OUT_SHARE, seed },
      (part) => task.dataset(part, index, file, reading) as Promise<OpenDataset<Bucketed>>,
    );
    train.push(...[...split.train].slice(0, CALIBRATED));
    heldOut.push(...[...split.heldOut].slice(0, MEASURED));
    split.close();
  }
  const name = sources.map((source) => path.basename(source.path)).join(', ');
  return { name, heldOut, batches: batchesOf(train.slice(0, CALIBRATED) as Bucketed[]) };
}

/** Of an example, the size that it is learned at. */
interface Bucketed {
  picture: { bucketWidth: number; bucketHeight: number };
}

/** A few together, of one bucket each. */
function batchesOf(examples: Bucketed[]): Bucketed[][] {
  const groups = new Map<string, Bucketed[]>();
  for (const example of examples) {
    const name = `${example.picture.bucketWidth} ${example.picture.bucketHeight}`;
    groups.set(name, [...(groups.get(name) ?? []), example]);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / AT_ONCE) }, (_, i) => group.slice(i * AT_ONCE, (i + 1) * AT_ONCE)),
  );
}
