import { randomUUID } from 'node:crypto';
import type { JobResult } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Act } from '../background/jobs.ts';
import { differingExamples, measuredBy, summaryOf } from '../evaluations/summary.ts';
import type { Question } from '../evaluations/summary.ts';
import type { EvaluateJob, ExampleResult } from '../stage/types.ts';
import { nameOfModel } from '../library/model-names.ts';
import type { Studio } from '../studio.ts';
import { checkedData } from './check.ts';
import { onStage } from './on-stage.ts';
import { os } from './os.ts';

/** So many differing examples are kept with a result. */
const KEPT_EXAMPLES = 200;

/** Accuracy and loss of several adapters on the same examples. */
export function evaluationCalls(studio: Studio) {
  const { evaluations } = studio;
  return {
    start: os.evaluations.start.handler(async ({ input }) => {
      const { on, folders } = await onStage(studio, input.adapters, input.model);
      const there = folders.filter((folder) => folder !== undefined);
      const data = await checkedData(studio, input.data, there.slice(0, 1));
      const names = input.adapters.map((id) => (id === null ? 'Base model' : studio.adapters.store.row(id).name));
      const job = { ...on, columns: folders.map((folder) => ({ folder })), data };
      const asked = { name: input.name, adapters: input.adapters, names };
      return studio.jobs.start(
        { id: randomUUID(), kind: 'evaluation', name: input.name, adapterId: null, folders: [] },
        (act) => evaluate(studio, asked, job, act),
      );
    }),
    list: os.evaluations.list.handler(() => evaluations.list()),
    get: os.evaluations.get.handler(({ input }) => evaluations.get(input.id)),
    remove: os.evaluations.remove.handler(({ input }) => {
      evaluations.remove(input.id);
      return {};
    }),
  };
}

/** Measures, and keeps the result once it is complete. */
async function evaluate(
  studio: Studio,
  { name, adapters, names }: { name: string; adapters: (string | null)[]; names: string[] },
  job: EvaluateJob,
  { tell, signal }: Act,
): Promise<JobResult> {
  let data = '';
  let questions: Question[] = [];
  let left = Infinity;
  const results: ExampleResult[][] = job.columns.map(() => []);
  for await (const event of studio.stage.run('evaluate', job, signal)) {
    if (event.kind === 'loading') tell({ stage: 'opening', done: 0, total: 1 });
    else if (event.kind === 'examples') ({ name: data, examples: questions } = event);
    else {
      results[event.column]![event.example] = event.result;
      const { done, total, secondsLeft } = event;
      left = total - done;
      tell({ stage: 'evaluating', done, total, secondsLeft });
    }
  }
  signal.throwIfAborted();
  if (left > 0) throw new UserError('The evaluation ended before it was complete. Start it again.');
  const columns = adapters.map((adapter, column) => ({
    ...{ adapter, name: names[column]! },
    ...summaryOf(results[column]!),
  }));
  const by = measuredBy(results[0]!);
  const evaluation = {
    ...{ id: randomUUID(), name, createdAt: Date.now(), model: nameOfModel(job.model), data, columns },
    examples: questions.length,
    questions: by.options + by.agreement + by.exact,
    by,
  };
  const differing = differingExamples(questions, results);
  const kept = { evaluation, differing: differing.slice(0, KEPT_EXAMPLES), differingInAll: differing.length };
  studio.evaluations.add(kept);
  return { outcome: null, adapterId: null, evaluationId: evaluation.id };
}
