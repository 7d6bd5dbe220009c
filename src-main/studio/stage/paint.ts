import { paint } from '../../models/diffusion/pipeline/paint.ts';
import { encodePng } from '../../models/vision/pictures/encode.ts';
import { emptyStage } from './loaded.ts';
import { painterOnStage, type LoadedPainter } from './loaded-painter.ts';
import type { Act, ColumnOnStage, PaintEvent, PaintJob } from './types.ts';

/** Paints a prompt in several columns, one after the other, all from the same noise. */
export async function paintJob(job: PaintJob, act: Act<PaintEvent>): Promise<void> {
  const painter = await painterOnStage(job, act.tell, emptyStage);
  for (const [column, asked] of job.columns.entries()) {
    act.signal.throwIfAborted();
    await paintColumn(painter, column, asked, job, act);
  }
}

async function paintColumn(
  painter: LoadedPainter,
  column: number,
  { folder, off }: ColumnOnStage,
  { prompt, seed, ...asked }: PaintJob,
  { tell, signal }: Act<PaintEvent>,
): Promise<void> {
  const { negative, guidance, sampler, steps, width, height } = asked;
  const how = painter.completed({ negative, guidance, sampler, steps, width, height });
  const started = performance.now();
  const adaptation = folder === undefined ? undefined : await painter.adapter(folder, off);
  try {
    tell({ kind: 'step', column, done: 0, of: how.steps });
    const options = { ...how, prompts: [prompt], seeds: [seed], adaptation, signal };
    const progress = (done: number) => tell({ kind: 'step', column, done, of: how.steps });
    const [picture] = await paint(painter.model, painter.vae, { ...options, progress });
    const url = `data:image/png;base64,${Buffer.from(await encodePng(picture!)).toString('base64')}`;
    const seconds = (performance.now() - started) / 1000;
    tell({ kind: 'painted', column, url, width: picture!.width, height: picture!.height, seconds });
  } finally {
    adaptation?.dispose();
  }
}
