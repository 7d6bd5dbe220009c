import { setImmediate } from 'node:timers/promises';
import { generate } from '../../models/generate.ts';
import { StreamText } from '../../models/stream-text.ts';
import { promptOf } from '../../models/answer.ts';
import { languageOf } from '../../models/conversant.ts';
import { dropCurve } from '../../trainer/drop.ts';
import type { DropOrder } from '../../trainer/drop.ts';
import type { Adapter } from '../../effilora/adapter.ts';
import { modelOnStage } from './loaded.ts';
import { measuredOn, type Measured } from './measured.ts';
import { pictureOf } from './paint.ts';
import type { Act, CurveEvent, CurveJob, CurvePoint, ProbeEvent, ProbeJob } from './types.ts';

/**
 * The drop curve (arXiv 2512.00878, Figures 2 and 5): the loss against the share of heads left out, the least important first,
 * and in random orders beside it. With none and with all left out the orders agree: measured once.
 */
export async function dropCurveJob(job: CurveJob, { tell, signal }: Act<CurveEvent>): Promise<void> {
  const measured = await measuredOn(job, tell);
  try {
    await alongRatios(job, measured, { tell, signal });
  } finally {
    measured.end();
  }
}

async function alongRatios(job: CurveJob, measured: Measured, { tell, signal }: Act<CurveEvent>): Promise<void> {
  const { name, examples, adapter, description, evaluate } = measured;
  tell({ kind: 'data', name, examples: examples.length });
  const inner = job.ratios.filter((ratio) => ratio > 0 && ratio < 1);
  const total = job.ratios.length + inner.length * job.seeds.length;
  const started = performance.now();
  let done = 0;
  const along = async (order: DropOrder, ratios: number[], tag: Pick<CurvePoint, 'order' | 'seed'>) => {
    // One ratio at a time, so that a cancellation is heard between them.
    for (const ratio of ratios) {
      await setImmediate();
      signal.throwIfAborted();
      const { renormalize } = job;
      const [point] = await dropCurve(evaluate, adapter, description, [ratio], { order, renormalize });
      done += 1;
      const secondsLeft = ((performance.now() - started) / 1000 / done) * (total - done);
      const { dropped, loss } = point!;
      tell({ kind: 'point', point: { ...tag, ratio, dropped, loss }, done, total, secondsLeft });
    }
  };
  await along({ by: 'importance' }, job.ratios, { order: 'importance', seed: 0 });
  for (const seed of job.seeds) await along({ by: 'random', seed }, inner, { order: 'random', seed });
}

/** Loss and a sample answer, or a sample picture, with some heads left out. */
export async function probeJob(job: ProbeJob, { tell, signal }: Act<ProbeEvent>): Promise<void> {
  const measured = await measuredOn(job, tell);
  try {
    const { name, examples, adapter, painter, evaluate } = measured;
    await setImmediate();
    signal.throwIfAborted();
    tell({ kind: 'loss', loss: (await evaluate()).loss, examples: examples.length, name });
    await setImmediate();
    signal.throwIfAborted();
    if (!job.prompt.trim()) return;
    if (!painter) return await answer(job, adapter, { tell, signal });
    const painted = await pictureOf(painter, { steps: 20, negative: '', seed: 0, ...job.painting, prompt: job.prompt }, { adaptation: adapter, signal }); // prettier-ignore
    tell({ kind: 'painted', ...painted });
  } finally {
    measured.end();
  }
}

async function answer(job: ProbeJob, adapter: Adapter, { tell, signal }: Act<ProbeEvent>): Promise<void> {
  const { file, model } = await modelOnStage(job, tell);
  if (!file.tokenizer) return;
  const { prompt, maxTokens } = job;
  const { ids, seen } = await promptOf(file, model, { prompt, maxTokens }, adapter);
  const stream = new StreamText(file.tokenizer);
  for await (const { id } of generate(languageOf(model), ids, { maxTokens, adaptation: adapter, seen })) {
    signal.throwIfAborted();
    tell({ kind: 'answer', piece: stream.push(id) });
  }
  tell({ kind: 'answer', piece: stream.end() });
}
