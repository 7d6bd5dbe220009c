import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import type { StudioClient } from './support/client.ts';
import { keepRuns } from './support/library.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const STEPS = 40;
const [LEARNING_RATE, EVALUATED] = [0.003, 10];
const [RIGHT, WRONG] = ['81 coins.', 'Nine coins.'];

interface Course {
  /** held-out losses, the first before the first update, then every tenth step */
  heldOut: number[];
  examples?: number;
  /** of a step; default: falling */
  loss?: (step: number) => number;
  answer?: string;
}
/** What their files say, by the runs' ids: of each one advice is to come, of `flat` two. */
const COURSES: Record<string, Course> = {
  few: { heldOut: [4, 3, 2, 1, 0.5], examples: 10 },
  rising: { heldOut: [4, 1, 1.2, 1.3, 1.4] },
  flat: { heldOut: [4, 2, 1, 0.999, 0.998], answer: WRONG },
  wrong: { heldOut: [4, 3, 2, 1, 0.5], answer: WRONG },
  jumping: { heldOut: [4, 3, 2, 1, 0.5], loss: (step) => (step === 15 || step === 25 ? 9 : 2) },
  spare: { heldOut: [4, 3, 2, 1, 0.5] },
};

describe.skipIf(noBrowser)(`what a run's figures say to do (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let page: Page;
  let errors: string[];
  let model: string;

  beforeAll(async () => {
    model = writeTinyChatModel(join(studio.folder, 'tiny-chat'));
    writeFileSync(join(studio.folder, 'rows.jsonl'), '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    const [shape, training] = [
      { layers: 1, heads: 2, steps: STEPS, headsEvery: STEPS },
      { learningRate: LEARNING_RATE },
    ];
    const ids = Object.keys(COURSES);
    const folders = keepRuns(
      studio.folder,
      ids.map((id) => ({ id, status: 'finished' as const, shape, model, training })),
    );
    for (const [index, course] of Object.values(COURSES).entries()) writeCourse(folders[index]!, course);
    // The studio takes it in when it is opened.
    await writeRandomAdapter(folders[ids.indexOf('spare')]!, model);
    ({ host, browser, client } = await studio.open());
    ({ page, errors } = await openPage(browser, `${host.url}/#/runs`));
    // Before its first page stands, the page doesn't hear that its address is another.
    await page.getByRole('heading', { name: 'Runs', level: 1 }).waitFor();
  });

  function writeCourse(folder: string, { heldOut, examples = 100, loss, answer = RIGHT }: Course) {
    const falling = (step: number) => 4 * 0.95 ** step;
    const lines = Array.from({ length: STEPS + 1 }, (_, step) => ({
      step,
      ...(step > 0 ? { loss: (loss ?? falling)(step), secondsLeft: STEPS - step } : {}),
      ...(step % EVALUATED === 0
        ? { evalLoss: heldOut[step / EVALUATED], evalError: 0.05, evalExamples: examples }
        : {}),
    }));
    const write = (name: string, records: object[]) =>
      writeFileSync(join(folder, name), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    write('metrics.jsonl', lines);
    const names = ['q_proj', 'v_proj'].flatMap((site) => [0, 1].map((head) => `0.${site}.${head}`));
    const importance = Object.fromEntries(names.map((name, index) => [name, index === 0 ? 1 : 1e-4]));
    write('heads.jsonl', [{ step: STEPS, importance, frozen: [] }]);
    write('samples.jsonl', [{ step: STEPS, prompt: 'How many coins?', answer, expected: RIGHT }]);
  }
  const advice = () => page.getByRole('region', { name: 'What its figures say' });
  /** Presses a button of a run's advice, which is to be all that stands there besides `others`. */
  async function follow(id: string, label: string, others: string[] = []) {
    await page.goto(`${host.url}/#/runs/${id}`);
    const buttons = () => advice().getByRole('button').allTextContents();
    await expect.poll(buttons).toEqual(expect.arrayContaining([label, ...others]));
    await expect.poll(buttons).toHaveLength(1 + others.length);
    await advice().getByRole('button', { name: label, exact: true }).click();
  }

  it.each([
    ['few', 'Train again with 30 % held out', [], { 'training.evalSplit': 0.3 }],
    ['rising', 'Train again, to step 10', [], { 'training.steps': 10 }],
    ['flat', 'Train again, to step 20', ['Add examples'], { 'training.steps': 20 }],
    ['wrong', 'Train again, twice as long', [], { 'training.steps': 80 }],
    ['jumping', 'Train again, with smaller steps', [], { 'training.learningRate': 0.001 }],
  ])('of a run that is %s: “%s” changes that in its recipe, and nothing else', async (id, label, others, change) => {
    await follow(id, label, others);
    await expect.poll(() => page.url()).toMatch(/#\/new$/);
    const { recipe } = await client.runs.get({ id });
    const { fixed, name, mix, model: from, step } = await client.drafts.get();
    expect({ name, from, step, data: mix.map(({ path }) => path) }).toEqual({
      ...{ name: `${id}, again`, from: model, step: 2, data: [recipe.dataset] },
    });
    expect(fixed).toEqual({
      ...{ 'method.name': 'effilora', 'method.rank': 8, 'method.heads': 2, 'method.reducer.ratio': 0.6 },
      ...{ 'training.steps': STEPS, 'training.batch': 8, 'training.sequenceLength': 128 },
      ...{ 'training.learningRate': LEARNING_RATE, ...change },
    });
    // It can be trained as it stands.
    await untilShown(page, 'Predicted memory');
    await expect.poll(() => page.getByRole('button', { name: 'Continue' }).isEnabled()).toBe(true);
    expect(errors).toEqual([]);
  });

  it('leads to the datasets where examples are missing, and to the heads where some are spare', async () => {
    await follow('flat', 'Add examples', ['Train again, to step 20']);
    await page.getByRole('region', { name: 'Add a dataset' }).waitFor();
    await page.goto(`${host.url}/#/runs/spare`);
    const learned = page.getByRole('region', { name: 'What did each head learn', exact: true });
    await learned.getByRole('button', { name: 'Look at the heads' }).waitFor();
    await learned.getByRole('button', { name: 'Measure whether fewer would do' }).waitFor();
    await follow('spare', 'Prune');
    await page.getByRole('heading', { name: 'Drop curve' }).waitFor();
    const { adapters } = await client.adapters.list({ text: '', show: 'active' });
    expect(page.url()).toBe(`${host.url}/#/library/${adapters.find(({ runId }) => runId === 'spare')!.id}/inspect`);
    expect(errors).toEqual([]);
  });
});
