import { paint } from '../../models/diffusion/pipeline/paint.ts';
import type { Adaptation } from '../../models/types.ts';
import { encodePng } from '../../models/vision/pictures/encode.ts';
import { emptyStage } from './loaded.ts';
import { painterOnStage, type LoadedPainter } from './loaded-painter.ts';
import type { Act, PaintColumn, Painted, PaintEvent, Painting, PaintJob } from './types.ts';

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
  asked: PaintColumn,
  job: PaintJob,
  { tell, signal }: Act<PaintEvent>,
): Promise<void> {
  const started = performance.now();
  const adaptation = await painter.adaptation(asked, (what) => tell({ kind: 'loading', what }), signal);
  try {
    const progress = (done: number, of: number) => tell({ kind: 'step', column, done, of });
    const painted = await pictureOf(painter, job, { adaptation, signal, progress });
    tell({ kind: 'painted', column, ...painted, seconds: (performance.now() - started) / 1000 });
  } finally {
    adaptation?.dispose();
  }
}

interface By {
  adaptation?: Adaptation;
  signal: AbortSignal;
  /** steps that are done, of all; at first none */
  progress?(done: number, of: number): void;
}

/** One picture. @throws UserError for what the model can't paint, the signal's reason */
export async function pictureOf(
  painter: LoadedPainter,
  { prompt, seed, negative, guidance, sampler, steps, width, height }: Painting,
  { adaptation, signal, progress }: By,
): Promise<Painted> {
  const how = painter.completed({ negative, guidance, sampler, steps, width, height });
  progress?.(0, how.steps);
  const options = { ...how, prompts: [prompt], seeds: [seed], adaptation, signal };
  const told = (done: number) => progress?.(done, how.steps);
  const [picture] = await paint(painter.model, painter.vae, { ...options, progress: told });
  const url = `data:image/png;base64,${Buffer.from(await encodePng(picture!)).toString('base64')}`;
  return { url, width: picture!.width, height: picture!.height };
}
