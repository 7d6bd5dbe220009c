import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differingExamples, summaryOf, wilson } from '../../src-main/studio/evaluations/summary.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
const path = join(scratch.folder, 'questions.jsonl');
let open: ReturnType<typeof openTestStudio>;
let id: string;

beforeAll(async () => {
  open = openTestStudio(scratch.folder, player(1, 1));
  await open.client.settings.set({ engine: 'wasm' });
  const rows = Array.from({ length: 12 }, (_, k) => ({
    instruction: `Is ${k} even?\nAnswer format: yes/no`,
    output: `The answer is ${k % 2 ? 'no' : 'yes'}.`,
    answer: k % 2 ? 'no' : 'yes',
  }));
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  await writeRandomAdapter(join(scratch.folder, 'strong'), model, { strength: 6 });
  id = (await open.client.adapters.import({ path: join(scratch.folder, 'strong'), model })).id;
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

/** Starts an evaluation as a page does; it is cancelled as soon as there are `cancelAt` results. */
async function evaluate(name: string, cancelAt = Infinity) {
  const asked = { name, model, adapters: [null, id], data: { path, examples: 12 } };
  const started = await open.client.evaluations.start(asked);
  const { jobs } = open.studio;
  const look = () => {
    const { progress } = jobs.get(started.id);
    if (progress?.stage === 'evaluating' && progress.done >= cancelAt) jobs.cancel(started.id);
  };
  jobs.on('change', look);
  let last = started;
  for await (last of await open.client.jobs.follow({ id: started.id }));
  jobs.off('change', look);
  return last;
}

describe('evaluation', () => {
  it('gives the interval that statistics packages give', () => {
    // R, binom::binom.wilson(8, 10): 0.4901625 to 0.9433178; (0, 5): 0 to 0.4344825.
    expect(wilson(8, 10).low).toBeCloseTo(0.4901625, 5);
    expect(wilson(8, 10).high).toBeCloseTo(0.9433178, 5);
    expect(wilson(0, 5).low).toBe(0);
    expect(wilson(0, 5).high).toBeCloseTo(0.4344825, 5);
  });

  it('weighs losses by their tokens and finds what differs', () => {
    const question = { question: 'q', answer: 'a', options: ['a', 'b'] };
    const one = [
      { loss: 1, tokens: 3, chosen: 'a', right: 1 },
      { loss: 2, tokens: 1, chosen: 'b', right: 0 },
    ];
    const other = [
      { loss: 1, tokens: 3, chosen: 'a', right: 1 },
      { loss: 5, tokens: 1, chosen: 'a', right: 1 },
    ];
    expect(summaryOf(one)).toMatchObject({ loss: 1.25, accuracy: { share: 0.5 } });
    const differing = differingExamples([question, question], [one, other]);
    expect(differing.map(({ results }) => results.map(({ chosen }) => chosen))).toEqual([['b', 'a']]);
  });

  it('measures base model and adapter on the same questions, and keeps the result', async () => {
    const { state, result } = await evaluate('Parity');
    expect(state).toBe('done');
    const { evaluation, differing, differingInAll } = await open.client.evaluations.get({ id: result!.evaluationId! });
    const { columns, examples, questions } = evaluation;
    expect([examples, questions, columns.length]).toEqual([12, 12, 2]);
    expect(evaluation.by).toEqual({ options: 12, agreement: 0, exact: 0 });
    // The same loss as the inspector measures on the same examples.
    const inspected = [];
    const asked = { id, heads: [], data: { path, examples: 12 }, prompt: '' };
    for await (const event of await open.client.inspector.probe(asked)) inspected.push(event);
    expect(columns[1]!.loss).toBeCloseTo((inspected.at(-1) as { loss: number }).loss, 4);
    expect(columns[0]!.loss).not.toBeCloseTo(columns[1]!.loss, 2);
    expect(differing).toHaveLength(differingInAll);
    // Counted the other way round: accuracies differ by what differs.
    const right = (column: number) =>
      differing.filter(({ answer, results }) => results[column]!.chosen === answer).length;
    const share = (column: number) => Math.round(columns[column]!.accuracy!.share * 12);
    expect(share(1) - share(0)).toBe(right(1) - right(0));
    expect(await open.client.evaluations.list()).toEqual([evaluation]);
  });

  it('keeps nothing of one that was cancelled', async () => {
    const before = await open.client.evaluations.list();
    expect((await evaluate('Half', 1)).state).toBe('cancelled');
    expect(await open.client.evaluations.list()).toEqual(before);
  });
});
