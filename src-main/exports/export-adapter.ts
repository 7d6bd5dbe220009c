import { EXPORT_CHOICES } from '../../src-preload/contract/choices.ts';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { DatasetSource } from '../data/dataset.ts';
import { UserError } from '../engine/types.ts';
import { Adapter } from '../effilora/adapter.ts';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { isOfLanguage } from '../effilora/methods/structure.ts';
import { isRouted } from '../effilora/methods/registry.ts';
import type { AdapterOptions } from '../effilora/types.ts';
import { openTextModel } from '../models/open.ts';
import type { ModelFile } from '../models/types.ts';
import { taskOf } from '../tasks/registry.ts';
import { calibrationBatches } from './calibrate.ts';
import { exportData, type ExportData } from './data.ts';
import { exportPictures } from './diffusion/export.ts';
import { fit, withLosses } from './fidelity.ts';
import { headMapSvg } from './head-map.ts';
import { isMmproj } from '../models/vision/towers/source.ts';
import { mmprojEntries, mmprojNotes } from './mmproj.ts';
import { modelCard } from './model-card.ts';
import { listFiles, refuseUsed, writeNewFolder } from './new-folder.ts';
import { openAnyBaseModel, openForExport, readForExport, type OpenedExport } from './open-export.ts';
import { Progress } from './progress.ts';
import {
  isPictureTarget,
  exportRequestSchema,
  type ExportProgress,
  type ExportRequest,
  type ExportResult,
  type ExportType,
  type FidelityReport,
} from './request.ts';
import { sampleAnswers } from './samples.ts';
import { writeShareFile } from './share-file.ts';
import { modelOf, WRITERS } from './targets.ts';

type Parsed = ReturnType<typeof exportRequestSchema.parse>;

/** One export under way. */
interface Work {
  opened: OpenedExport;
  data: ExportData | undefined;
  request: Parsed;
  type: ExportType;
  name: string;
  progress: Progress;
}

/**
 * Exports an adapter into a new folder, whole or not at all, with a model card, the head map and the fidelity report beside it.
 * Opens the engine and the base model in this process: call it in one that may be busy.
 * @param signal cancels it; what was written is removed
 * @throws UserError when adapter, model, data or folder don't fit
 */
export async function exportAdapter(
  request: ExportRequest,
  onProgress: (progress: ExportProgress) => void = () => {},
  signal?: AbortSignal,
): Promise<ExportResult> {
  const parsed = exportRequestSchema.parse(request);
  const type = typeOf(parsed);
  await refuseUsed(parsed.out);
  const progress = new Progress(onProgress, signal);
  progress.at('opening', 0, 1);
  const stored = await readForExport(parsed);
  const file = await openAnyBaseModel(stored, parsed.model);
  if (file.makes === 'pictures')
    return exportPictures(
      stored,
      file,
      { ...parsed, type, calibrate: calibrationOf(parsed), name: nameOf(parsed.adapter) },
      progress,
    );
  if (isPictureTarget(parsed.to)) {
    await file.close();
    throw new UserError(
      `--to ${parsed.to} is for models that make pictures, and ${file.name} writes; take peft, gguf or another one`,
    );
  }
  const opened = await openForExport(stored, file, parsed).catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  try {
    const data = await exportData(file, stored.description, calibrationOf(parsed));
    const warnings = [...(file.warnings ?? []), ...(await notesOf(file, parsed))];
    progress.at('opening', 1, 1);
    const work: Work = { opened, data, request: parsed, type, name: nameOf(parsed.adapter), progress };
    const fidelity = await (parsed.to === 'effilora' ? share(work) : approximate(work));
    return { folder: parsed.out, files: await listFiles(parsed.out), fidelity, warnings };
  } finally {
    await opened.close();
  }
}

/** What is to be known of a model that takes pictures as a GGUF with its mmproj. @throws UserError where it can't be one */
async function notesOf({ sees }: ModelFile, { to }: Parsed): Promise<string[]> {
  if (sees && isMmproj(sees.place) && to === 'merged-safetensors')
    throw new UserError(
      'A model that was opened from a GGUF with its mmproj has no Hugging Face folder to be merged into; export it as GGUF with mmproj (--to merged-gguf) or as a PEFT folder',
    );
  if (!sees || to !== 'merged-gguf') return [];
  await mmprojEntries(sees);
  return mmprojNotes(sees);
}

const calibrationOf = ({ calibrate: path, calibrateAs }: Parsed): DatasetSource | undefined =>
  path === undefined ? undefined : { path, ...calibrateAs };

/** @throws UserError for a number type that the target can't have */
function typeOf({ to, type }: Parsed): ExportType {
  const types: readonly ExportType[] = EXPORT_CHOICES[to].types;
  if (type === undefined) return types[0]!;
  if (!types.includes(type))
    throw new UserError(`${to} can't be written in ${type}; choose ${types.join(', ')} with --type`);
  return type;
}

/** The name of an adapter's folder. */
function nameOf(adapter: string): string {
  const resolved = path.resolve(adapter);
  return path.basename(resolved.endsWith('.safetensors') ? path.dirname(resolved) : resolved);
}

/** The adapter itself as one file. */
async function share(work: Work): Promise<null> {
  const { opened, data, request, name, progress } = work;
  progress.at('measuring', 0, 1);
  const samples = await sampleAnswers(opened, data, progress);
  progress.at('measuring', 1, 1);
  await writeNewFolder(request.out, async (folder) => {
    progress.at('writing', 0, 1);
    const { card, headMap } = await writeTexts(folder, work, null);
    await writeShareFile(path.join(folder, `${name}.effilora`), opened.stored, { card, headMap, samples });
    progress.at('writing', 1, 1);
  });
  return null;
}

/** A plain LoRA, or a model it is merged into, and how close that comes. */
async function approximate(work: Work): Promise<FidelityReport> {
  const { opened, data, request, type, name, progress } = work;
  const { file, model, adapter } = opened;
  if (!data && isRouted(adapter.options))
    throw new UserError(
      "The adapter's training data is not there any more; name a dataset like it with --calibrate, which the export needs",
    );
  if (request.to === 'gguf' && isSeeing(adapter.options))
    throw new UserError(
      'The adapter is in what sees pictures, too, and a GGUF LoRA file is of the language model alone; export a merged model with its mmproj (--to merged-gguf) or a PEFT folder instead',
    );
  if (request.to === 'gguf' && adapter.options.dora)
    throw new UserError(
      "A GGUF LoRA file has no place for DoRA's magnitudes; export a merged model (--to merged-gguf) or a PEFT folder instead",
    );
  const batches = data ? calibrationBatches(data.calibration) : [];
  const { plain, report } = await fit({ file, model, adapter, batches, progress }, data, request.form);
  let fidelity = report;
  await writeNewFolder(request.out, async (folder) => {
    progress.at('writing', 0, 1);
    await WRITERS[request.to as keyof typeof WRITERS](folder, { opened, plain, name, type, progress });
    const written = modelOf(request.to, folder, name);
    if (written) fidelity = await measureWritten(work, plain, written, report);
    await writeTexts(folder, work, fidelity);
    await fsp.writeFile(path.join(folder, 'fidelity.json'), `${JSON.stringify(fidelity, null, 1)}\n`);
    progress.at('writing', 1, 1);
  });
  return fidelity;
}

/** Whether an adapter is not of the language model alone. */
const isSeeing = ({ whole, targets }: AdapterOptions) => whole !== undefined || !targets.every(isOfLanguage);

/** The part of a plain LoRA that is in what sees pictures; undefined where nothing is. */
function seeingOf({ options, tensors }: PlainLora): PlainLora | undefined {
  if (!isSeeing(options)) return undefined;
  const targets = options.targets.filter((target) => !isOfLanguage(target));
  return { options: { ...options, targets }, tensors };
}

/** The loss of a merged model as it was written, its rounding included. */
async function measureWritten(
  { opened, data, progress }: Work,
  plain: PlainLora,
  place: string,
  report: FidelityReport,
): Promise<FidelityReport> {
  if (!data || !report.heldOut) return report;
  opened.freeModel();
  progress.check();
  const opens = await openTextModel(place);
  // A GGUF is the language model alone; its mmproj holds what sees number by number, what that learned worked in.
  const file = { ...opens, sees: opens.sees ?? opened.file.sees };
  const seeing = opens.sees ? undefined : seeingOf(plain);
  try {
    const task = taskOf(file);
    const model = await task.load(file);
    const learned = seeing && new Adapter(model.sites(), seeing.options, 0);
    learned?.import(seeing!.tensors);
    try {
      const { loss } = await task.evaluate(model, data.heldOut, learned);
      return withLosses(report, { ...report.heldOut, exported: loss });
    } finally {
      learned?.dispose();
      model.dispose();
    }
  } finally {
    await file.close();
  }
}

async function writeTexts(folder: string, { opened, request, type, name }: Work, fidelity: FidelityReport | null) {
  const { description } = opened.stored;
  const card = modelCard({ name, description, makes: opened.file.makes, to: request.to, type, fidelity });
  const headMap = headMapSvg(description);
  await fsp.writeFile(path.join(folder, 'README.md'), card);
  await fsp.writeFile(path.join(folder, 'head-map.svg'), headMap);
  return { card, headMap };
}
