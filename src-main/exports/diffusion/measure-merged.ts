import fs from 'node:fs';
import { openDiffusionModel } from '../../models/diffusion/model-file.ts';
import { taskOf } from '../../tasks/registry.ts';
import { withLosses } from '../fidelity.ts';
import type { Progress } from '../progress.ts';
import type { FidelityReport } from '../request.ts';
import type { PictureData } from './data.ts';

/** The report with the loss of a merged model as it was written, its rounding included. */
export async function measureMerged(
  place: string,
  data: PictureData | undefined,
  report: FidelityReport,
  progress: Progress,
): Promise<FidelityReport> {
  if (!data || !report.heldOut) return report;
  progress.check();
  const file = await openDiffusionModel(place, fs.statSync(place).isDirectory());
  try {
    const task = taskOf(file);
    const model = await task.load(file);
    try {
      const { loss } = await task.evaluate(model, data.heldOut);
      return withLosses(report, { ...report.heldOut, exported: loss });
    } finally {
      model.dispose();
    }
  } finally {
    await file.close();
  }
}
