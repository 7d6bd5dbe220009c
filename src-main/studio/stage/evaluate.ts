import { shortened } from '../../../src-preload/shortened.ts';
import { setImmediate } from 'node:timers/promises';
import type { PreparedExample } from '../../data/dataset.ts';
import { messageText } from '../../models/message-text.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { Choices } from '../../tasks/task.ts';
import { examplesOnStage } from './data.ts';
import { modelOnStage } from './loaded.ts';
import { judge } from '../../trainer/measure.ts';
import type { Act, EvaluateEvent, EvaluateJob } from './types.ts';

/** Examples whose loss is computed at a time: enough to fill a batch, few enough to be cancelled soon. */
const AT_A_TIME = 8;
/** A question is shown up to this many characters. */
const SHOWN = 600;

/** Loss and answer of every example under every column. */
export async function evaluateJob(job: EvaluateJob, { tell, signal }: Act<EvaluateEvent>): Promise<void> {
  const stage = await modelOnStage(job, tell);
  const first = job.columns.find(({ folder }) => folder !== undefined);
  const described = first && (await stage.adapter(first.folder!, first.off)).description;
  const { name, examples, options } = await examplesOnStage(stage.file, job.data, described);
  const { choices } = taskOf(stage.file);
  const show = (example: PreparedExample) => shown(example, choices.of(example), stage.file.tokenizer);
  tell({ kind: 'examples', name, examples: examples.map(show) });
  const total = job.columns.length * examples.length;
  const started = performance.now();
  let done = 0;
  for (const [column, { folder, off }] of job.columns.entries()) {
    const adapter = folder === undefined ? undefined : (await stage.adapter(folder, off)).adapter;
    for (let from = 0; from < examples.length; from += AT_A_TIME) {
      const group = examples.slice(from, from + AT_A_TIME);
      const sums = await choices.likelihoods(stage.model, group, adapter);
      for (const [at, example] of group.entries()) {
        await setImmediate();
        signal.throwIfAborted();
        const { sum, tokens } = sums[at]!;
        const judged = await judge({ file: stage.file, model: stage.model, adapter }, example, options);
        done += 1;
        const secondsLeft = ((performance.now() - started) / 1000 / done) * (total - done);
        const result = { loss: -sum / tokens, tokens, chosen: judged?.answer, right: judged?.right, by: judged?.by };
        tell({ kind: 'result', column, example: from + at, result, done, total, secondsLeft });
      }
    }
  }
}

function shown(
  { example, inputIds }: PreparedExample,
  question: ReturnType<Choices['of']>,
  tokenizer: { decode(ids: ArrayLike<number>): string } | undefined,
) {
  if (example.kind === 'chat') {
    const asked = example.messages.filter(({ role }) => role !== 'assistant').at(-1);
    const told = question?.answer ?? messageText(example.messages.at(-1)!);
    return cut(asked ? messageText(asked) : '', told, question?.options);
  }
  if (example.kind === 'completion')
    return cut(example.prompt, question?.answer ?? example.completion, question?.options);
  if (example.kind === 'text') return cut(example.text, '', undefined);
  return cut(tokenizer?.decode(inputIds) ?? [...inputIds].join(' '), '', undefined);
}

const cut = (question: string, answer: string, options: string[] = []) => ({
  question: shortened(question, SHOWN),
  answer: shortened(answer, SHOWN),
  options,
});
