import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { calibrationBatches } from './calibrate.ts';
import { exportData, type ExportData } from './data.ts';
import { fit, type Fitted } from './fidelity.ts';
import { refuseUsed, writeNewFolder } from './new-folder.ts';
import { openBaseModel, openForExport, readForExport, type OpenedExport } from './open-export.ts';
import { writePeft } from './peft.ts';
import { Progress } from './progress.ts';
import {
  EXPORT_TYPES,
  exportRequestSchema,
  type ExportProgress,
  type ExportRequest,
  type ExportResult,
  type ExportType,
} from './request.ts';

type Parsed = ReturnType<typeof exportRequestSchema.parse>;

/**
 * Exports an adapter into a new folder, whole or not at all, with a model card and the fidelity report beside it. Opens the
 * engine and the base model in this process: call it in one that may be busy.
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
  const file = await openBaseModel(stored, parsed.model);
  const opened = await openForExport(stored, file, parsed);
  try {
    const data = await exportData(file, stored.description, parsed.calibrate);
    progress.at('opening', 1, 1);
    return await exportOpened(opened, data, parsed, type, progress);
  } finally {
    await opened.close();
  }
}

/** @throws UserError for a number type that the target can't have */
function typeOf({ to, type }: Parsed): ExportType {
  const types: readonly ExportType[] = EXPORT_TYPES[to];
  if (type === undefined) return types[0]!;
  if (!types.includes(type))
    throw new UserError(`${to} can't be written in ${type}; choose ${types.join(', ')} with --type`);
  return type;
}

async function exportOpened(
  opened: OpenedExport,
  data: ExportData | undefined,
  request: Parsed,
  type: ExportType,
  progress: Progress,
): Promise<ExportResult> {
  const { adapter, model, stored } = opened;
  if (!data && adapter.options.name !== 'lora')
    throw new UserError(
      "The adapter's training data is not there any more; name a dataset like it with --calibrate, which the export needs",
    );
  const batches = data ? calibrationBatches(data.calibration) : [];
  const fitted = await fit({ model, adapter, description: stored.description, batches, progress }, data, request.form);
  await writeNewFolder(request.out, async (folder) => {
    await writeTarget(folder, opened, fitted, request, type, progress);
    await fsp.writeFile(path.join(folder, 'fidelity.json'), `${JSON.stringify(fitted.report, null, 1)}\n`);
  });
  return { folder: request.out, files: await listFiles(request.out), fidelity: fitted.report };
}

async function writeTarget(
  folder: string,
  { stored }: OpenedExport,
  { plain }: Fitted,
  { to }: Parsed,
  _type: ExportType,
  progress: Progress,
): Promise<void> {
  progress.at('writing', 0, 1);
  if (to === 'peft') await writePeft(folder, plain, stored.description.baseModel.name);
  progress.at('writing', 1, 1);
}

async function listFiles(folder: string): Promise<ExportResult['files']> {
  const names = (await fsp.readdir(folder)).sort();
  return Promise.all(names.map(async (name) => ({ name, byteLength: (await fsp.stat(path.join(folder, name))).size })));
}
