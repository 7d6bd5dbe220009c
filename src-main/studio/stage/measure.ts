import { setImmediate } from 'node:timers/promises';
import { generate } from '../../models/generate.ts';
import { StreamText } from '../../models/stream-text.ts';
import { promptOf } from '../../models/answer.ts';
import { languageOf } from '../../models/conversant.ts';
import { dropCurve } from '../../trainer/drop.ts';
import type { DropOrder } from '../../trainer/drop.ts';
import { taskOf } from '../../tasks/registry.ts';
import { examplesOnStage } from './data.ts';
import { modelOnStage } from './loaded.ts';
import type { Act, CurveEvent, CurveJob, CurvePoint, ProbeEvent, ProbeJob } from './types.ts';

/**
 * The drop curve (arXiv 2512.00878, Figures 2 and 5): the loss against the share of heads left out, the least important first,
 * and in random orders beside it. With none and with all left out the orders agree: measured once.
 */
export async function dropCurveJob(job: CurveJob, { tell, signal }: Act<CurveEvent>): Promise<void> {
  const stage = await modelOnStage(job, tell);
  const { adapter, description } = await stage.adapter(job.folder);
  const { name, examples } = await examplesOnStage(stage.file, job.data, description);
  tell({ kind: 'data', name, examples: examples.length });
  const evaluate = () => taskOf(stage.file).evaluate(stage.model, examples, adapter);
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

/** Loss and a sample answer with some heads left out. */
export async function probeJob(job: ProbeJob, { tell, signal }: Act<ProbeEvent>): Promise<void> {
  const stage = await modelOnStage(job, tell);
  const { adapter, description } = await stage.adapter(job.folder, job.off);
  const { name, examples } = await examplesOnStage(stage.file, job.data, description);
  await setImmediate();
  signal.throwIfAborted();
  const { loss, tokens } = await taskOf(stage.file).evaluate(stage.model, examples, adapter);
  tell({ kind: 'loss', loss, tokens, examples: examples.length, name });
  if (!stage.file.tokenizer || !job.prompt.trim()) return;
  const { maxTokens } = job;
  const { ids, seen } = await promptOf(stage.file, stage.model, { prompt: job.prompt, maxTokens }, adapter);
  const stream = new StreamText(stage.file.tokenizer);
  for await (const { id } of generate(languageOf(stage.model), ids, { maxTokens, adaptation: adapter, seen })) {
    signal.throwIfAborted();
    tell({ kind: 'answer', piece: stream.push(id) });
  }
  tell({ kind: 'answer', piece: stream.end() });
}
