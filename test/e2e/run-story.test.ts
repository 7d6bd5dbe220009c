import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobStore } from '../../src-main/studio/background/store.ts';
import { openLibrary } from '../../src-main/studio/database/open.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readDrawing, takeFile } from './support/kept-files.ts';
import { keepRuns } from './support/library.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const SHAPE = { layers: 2, heads: 3, steps: 30, headsEvery: 1 };
const HEADS = SHAPE.layers * 7 * SHAPE.heads;
const PROMPT = 'Where is my <parcel>?';

describe.skipIf(noBrowser)(`the story that a run's page tells (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let host: Host;
  let browser: Browser;
  let page: Page;
  let errors: string[];
  beforeAll(async () => {
    const [folder, waiting] = keepRuns(scratch.folder, [
      { id: 'told-run', status: 'finished', shape: SHAPE },
      { id: 'waiting-run', status: 'interrupted', shape: { ...SHAPE, steps: 0 } },
    ]);
    const lines = (values: object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('');
    writeFileSync(join(folder!, 'start.json'), lines([{ step: 0, evalLoss: 4.87 }]));
    const answers = [
      [0, 'I am a model.'],
      [10, 'Your parcel.'],
      [20, 'Your parcel.'],
      [30, 'On its way'],
    ] as const;
    const expected = 'On its way';
    writeFileSync(
      join(folder!, 'samples.jsonl'),
      lines(answers.map(([step, answer]) => ({ step, prompt: PROMPT, answer, expected }))),
    );
    appendFileSync(
      join(folder!, 'trainer.log'),
      "2026-01-01T00:00:00.000Z Step 12: the Reducer's ratio is 0.4 from the next selection on\n",
    );
    const log = [
      '2026-01-01T00:00:00.000Z Loading the model and the data',
      '2026-01-01T00:00:07.000Z Training 30 steps from step 0 on tensorflow',
      '2026-01-01T00:00:07.001Z Measuring the model before the first step',
      '2026-01-01T00:00:20.001Z Before training: held-out loss 4.8700',
      '2026-01-01T00:01:24.001Z The first step is done',
    ];
    writeFileSync(join(waiting!, 'trainer.log'), `${log.join('\n')}\n`);
    const library = openLibrary(join(scratch.folder, 'library.db'));
    const jobs = new JobStore(library);
    jobs.add(
      { id: 'left', kind: 'export', name: 'poems as gguf', adapterId: null, folders: [join(scratch.folder, 'left')] },
      'gone',
    );
    jobs.end('left', 'interrupted', 'The studio was closed before this was done.', null);
    library.close();
    host = await startHost(scratch.folder);
    browser = await openBrowser();
    ({ page, errors } = await openPage(browser, `${host.url}/#/runs/told-run`, { width: 1440 }));
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  it('ends with what came of it: the losses, and an answer before and after', async () => {
    const end = page.locator('section', {
      has: page.getByRole('heading', { name: /^Held-out loss 4\.87 to 0\.\d\d/ }),
    });
    await end.waitFor();
    await expect.poll(() => end.getByText('I am a model.').isVisible()).toBe(true);
    await expect.poll(() => end.getByText('On its way').isVisible()).toBe(true);
  });

  it('lists jobs of a studio that has ended, until they are taken off the list', async () => {
    await page.getByText('Jobs', { exact: true }).click();
    const job = page.getByRole('list', { name: 'Jobs' }).locator('li', { hasText: 'poems as gguf' });
    await expect.poll(() => job.innerText()).toContain('The studio was closed before this was done.');
    await job.getByRole('button', { name: 'Take poems as gguf off the list' }).click();
    await job.waitFor({ state: 'detached' });
  });

  it('groups answers by their question, beside the one before training and the expected one', async () => {
    const samples = page.locator('section', { has: page.getByRole('heading', { name: 'Sample answers' }) });
    await expect.poll(() => samples.getByRole('heading', { name: PROMPT }).count()).toBe(1);
    await expect.poll(() => samples.getByText('✓ as expected').count()).toBe(1);
    await samples.getByText('All 3 answers').click();
    const told = async () =>
      (await samples.locator('li').allInnerTexts()).map((text) => /· (changed|the same)/.exec(text)?.[1]);
    await expect.poll(told).toEqual(['changed', 'the same', 'changed']);
  });

  it('has loss and head map side by side, above the fold, and tells a head where it is pointed at', async () => {
    const [loss, map] = [page.getByRole('img', { name: 'Loss over the steps' }), page.locator('#head-map canvas')];
    await map.waitFor();
    const between = async () => {
      const [left, right] = [(await loss.boundingBox())!, (await map.boundingBox())!];
      return right.x - (left.x + left.width);
    };
    await expect.poll(between).toBeGreaterThan(0);
    // Pointed at anew each time, as a page that still grows moves the map away.
    const told = async () => {
      await page.mouse.move(0, 0);
      await map.hover({ position: { x: 50, y: 36 } });
      return (await page.locator('.tip').allInnerTexts())[0];
    };
    await expect.poll(told).toMatch(/^Layer 0, .* head 0: importance/);
  });

  const take = (name: string) => takeFile(page, name);
  const read = (svg: Buffer) => readDrawing(page, svg);

  it('gives charts as PNG, SVG and CSV, with every point', async () => {
    await page.getByText('Show loss over the steps as a table').click();
    const csv = await take('Loss over the steps as CSV');
    expect(csv.name).toBe('Loss over the steps.csv');
    const rows = csv.bytes.toString().trim().split('\n').slice(1);
    expect(rows.filter((row) => row.startsWith('"Loss, every step"'))).toHaveLength(SHAPE.steps);
    expect(rows).toContain('Held-out loss,0,4.87');
    expect((await take('Loss over the steps as PNG')).bytes.subarray(1, 4).toString()).toBe('PNG');
    const parsed = await read((await take('Loss over the steps as SVG')).bytes);
    expect(parsed.error).toBe(0);
    expect(parsed.titles).toContain('40 % from here');
  });

  it.each([
    { chart: `Head map at step ${SHAPE.steps}`, fold: /^Show the head map as a table/, rows: HEADS, shapes: HEADS },
    { chart: 'Freeze timeline', fold: 'Show the freeze timeline as a table', rows: SHAPE.steps, shapes: 7 },
    {
      chart: `Router at step ${SHAPE.steps}`,
      fold: /^Keep the router/,
      rows: 7 * SHAPE.heads,
      shapes: 7 * SHAPE.heads,
    },
  ])('gives $chart as PNG, SVG and CSV, too', async ({ chart, fold, rows, shapes }) => {
    await page.getByText(fold).click();
    const csv = (await take(`${chart} as CSV`)).bytes.toString().trim().split('\n');
    expect(csv).toHaveLength(1 + rows);
    const drawn = await read((await take(`${chart} as SVG`)).bytes);
    expect(drawn.error).toBe(0);
    expect(drawn.texts).toEqual(expect.arrayContaining([chart, 'q', 'down']));
    // The ground is one more.
    expect(drawn.rects).toBeGreaterThan(shapes);
    const picture = await sharp((await take(`${chart} as PNG`)).bytes).stats();
    // Not of one colour.
    expect(picture.entropy).toBeGreaterThan(0.2);
  });

  it('makes a report of one file that asks for nothing and runs nothing', async () => {
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Report' }).click(),
    ]);
    expect(file.suggestedFilename()).toBe('told run.html');
    const report = await browser.newPage();
    const asked: string[] = [];
    report.on('request', (request) => asked.push(request.url()));
    await report.setContent(readFileSync(await file.path(), 'utf8'));
    expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([]);
    await expect.poll(() => report.locator('script').count()).toBe(0);
    await expect.poll(() => report.locator('svg').count()).toBe(3);
    await expect.poll(() => report.getByText(PROMPT).isVisible()).toBe(true);
    await expect
      .poll(() => report.locator('img').evaluate((map) => (map as unknown as { naturalWidth: number }).naturalWidth))
      .toBeGreaterThan(100);
    await report.close();
  });

  it('says what came before the first step, with seconds', async () => {
    await page.evaluate("location.hash = '#/runs/waiting-run'");
    const phases = page.getByRole('list', { name: 'Before the first step' });
    await untilShown(page, 'First step');
    await expect
      .poll(async () => (await phases.locator('li').allInnerTexts()).map((text) => text.replace(/\s+/g, ' ')))
      .toEqual([
        '✓ Loading the model and the data 7 s',
        '✓ Asking the model before it learns 13 s',
        '✓ First step, with what it sets up 1 min',
      ]);
    expect(errors).toEqual([]);
  });
});
