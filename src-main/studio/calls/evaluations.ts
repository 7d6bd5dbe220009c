import { randomUUID } from 'node:crypto';
import type { EvaluationEvent } from '../../../src-preload/contract/index.ts';
import { differingExamples, summaryOf } from '../evaluations/summary.ts';
import type { Question } from '../evaluations/summary.ts';
import type { EvaluateJob, ExampleResult } from '../stage/types.ts';
import { nameOfModel } from '../library/model-names.ts';
import type { Studio } from '../studio.ts';
import { checkedData } from './check.ts';
import { onStage } from './on-stage.ts';
import { os, stream } from './os.ts';

/** So many differing examples are kept with a result. */
const KEPT_EXAMPLES = 200;

/** Accuracy and loss of several adapters on the same examples. */
export function evaluationCalls(studio: Studio) {
  const { evaluations } = studio;
  return {
    run: os.evaluations.run.handler(async ({ input, signal }) => {
      const { on, folders } = await onStage(studio, input.adapters, input.model);
      const there = folders.filter((folder) => folder !== undefined);
      const data = await checkedData(studio, input.data, there.slice(0, 1));
      const names = input.adapters.map((id) => (id === null ? 'Base model' : studio.adapters.store.row(id).name));
      const job = { ...on, columns: folders.map((folder) => ({ folder })), data };
      return stream(evaluate(studio, { name: input.name, adapters: input.adapters, names }, job, signal));
    }),
    list: os.evaluations.list.handler(() => evaluations.list()),
    get: os.evaluations.get.handler(({ input }) => evaluations.get(input.id)),
    remove: os.evaluations.remove.handler(({ input }) => {
      evaluations.remove(input.id);
      return {};
    }),
  };
}

async function* evaluate(
  studio: Studio,
  { name, adapters, names }: { name: string; adapters: (string | null)[]; names: string[] },
  job: EvaluateJob,
  signal: AbortSignal | undefined,
): AsyncGenerator<EvaluationEvent, void> {
  let data = '';
  let questions: Question[] = [];
  let left = Infinity;
  const results: ExampleResult[][] = job.columns.map(() => []);
  for await (const event of studio.stage.run('evaluate', job, signal)) {
    if (event.kind === 'loading') yield event;
    else if (event.kind === 'examples') ({ name: data, examples: questions } = event);
    else {
      results[event.column]![event.example] = event.result;
      const { done, total, secondsLeft } = event;
      left = total - done;
      yield { kind: 'progress', done, total, secondsLeft };
    }
  }
  // Cancelled: half a result is none.
  if (left > 0) return;
  const columns = adapters.map((adapter, column) => ({
    ...{ adapter, name: names[column]! },
    ...summaryOf(questions, results[column]!),
  }));
  const evaluation = {
    ...{ id: randomUUID(), name, createdAt: Date.now(), model: nameOfModel(job.model), data, columns },
    examples: questions.length,
    questions: questions.filter(({ options }) => options.length > 0).length,
  };
  const differing = differingExamples(questions, results);
  const kept = { evaluation, differing: differing.slice(0, KEPT_EXAMPLES), differingInAll: differing.length };
  studio.evaluations.add(kept);
  yield { kind: 'finished', evaluation };
}
