import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_MODEL, isPackagedModelThere } from '../../src-main/models/default-model.ts';
import { scratchFolder } from '../support/scratch.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { withNvidiaSmi } from '../support/nvidia-smi.ts';
import { connectClient } from './support/client.ts';
import type { StudioClient } from './support/client.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { keepRuns } from './support/library.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const noModel = noBrowser ?? (isPackagedModelThere(DEFAULT_MODEL) ? undefined : 'needs the default model (npm start)');
const SHAPE = { layers: 2, heads: 3, steps: 30, headsEvery: 1 };

const section = (page: Page, title: string) =>
  page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) });
const namesIn = (page: Page, title: string) => section(page, title).locator('a.name').allTextContents();

describe.skipIf(noBrowser)(`the list of runs (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let close: () => void;
  beforeAll(async () => {
    writeFileSync(join(scratch.folder, 'rows.jsonl'), '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    keepRuns(scratch.folder, [
      { id: 'first-run', status: 'finished', shape: SHAPE },
      { id: 'second-run', status: 'failed', shape: { ...SHAPE, steps: 20 }, rank: 16 },
    ]);
    host = await startHost(scratch.folder, 0, { PATH: withNvidiaSmi(scratch.folder) });
    browser = await openBrowser();
    ({ client, close } = await connectClient(host.url));
  });
  afterAll(async () => {
    close?.();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  it('renames a run, by the keyboard alone', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/runs/first-run`);
    await page.getByRole('button', { name: 'Rename' }).press('Enter');
    const field = page.getByRole('textbox', { name: 'Name of the run' });
    await field.fill('   ');
    await field.press('Enter');
    await expect.poll(() => field.isVisible()).toBe(true);
    await field.press('Escape');
    await page.getByRole('heading', { name: 'first run', exact: true }).waitFor();
    const focused = page.locator(':focus');
    await page.getByRole('button', { name: 'Rename' }).and(focused).waitFor();
    await page.keyboard.press('Enter');
    await field.and(focused).waitFor();
    await page.keyboard.type('The best one');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The best one', exact: true }).waitFor();
    expect((await client.runs.get({ id: 'first-run' })).run.name).toBe('The best one');
    await client.runs.rename({ id: 'first-run', name: 'first run' });
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('zooms a chart by the keyboard', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/runs/first-run`);
    const chart = page.getByRole('img', { name: 'Loss over the steps' });
    const keys = chart.locator('xpath=following-sibling::p');
    await expect.poll(() => chart.getAttribute('aria-describedby')).toBe(await keys.getAttribute('id'));
    const shown = async () => {
      const [, from, to] = /Shown: (-?[\d.]+) to (-?[\d.]+)\./.exec((await keys.textContent())!) ?? [];
      return { from: Number(from), to: Number(to) };
    };
    /** What is shown once a key has changed it. */
    const after = async (key: string) => {
      const before = await keys.textContent();
      await chart.press(key);
      await expect.poll(() => keys.textContent()).not.toBe(before);
      return shown();
    };
    // Keys work once the chart is drawn.
    await expect.poll(async () => (await chart.press('+'), (await shown()).to)).toBeLessThan(SHAPE.steps);
    const near = await shown();
    expect(near.from).toBeGreaterThan(1);
    const right = await after('ArrowRight');
    expect(right.from).toBeGreaterThan(near.from);
    expect(right.to - right.from).toBeCloseTo(near.to - near.from, 1);
    await after('ArrowLeft');
    const far = await after('-');
    expect(far.to - far.from).toBeGreaterThan(near.to - near.from);
    // Another scale and other colours make a new chart; what it shows stays.
    const picture = () => chart.evaluate((canvas) => (canvas as unknown as { toDataURL(): string }).toDataURL());
    for (const change of [
      () => page.getByLabel('Logarithmic').check(),
      () => page.emulateMedia({ colorScheme: 'dark' as const }),
    ]) {
      const before = await picture();
      await change();
      await expect.poll(picture).not.toBe(before);
    }
    const moved = await after('ArrowRight');
    expect(moved.to - moved.from).toBeCloseTo(far.to - far.from, 1);
    expect(moved.from).toBeGreaterThan(far.from);
    await chart.press('0');
    await expect.poll(() => keys.textContent()).not.toContain('Shown');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('compares two runs by what differs in their recipes', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs`);
    for (const name of ['first run', 'second run']) await page.getByLabel(`Compare ${name}`).check();
    await untilShown(page, 'What differs in their recipes');
    const table = page.getByRole('region', { name: 'Differences' });
    await expect.poll(() => table.locator('th').allTextContents()).toEqual(['Recipe key', 'first run', 'second run']);
    const rows = await table
      .locator('tbody tr')
      .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent!.trim())));
    expect(rows).toEqual([
      ['method.rank', '8', '16'],
      ['training.steps', '30', '20'],
    ]);
    await page.context().close();
  });

  it('deletes a run, and brings it back', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs`);
    await page.getByRole('button', { name: 'Delete second run' }).click();
    await untilShown(page, '“second run” was moved to the trash.');
    await expect.poll(() => namesIn(page, 'History')).toEqual(['first run']);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(async () => (await namesIn(page, 'History')).sort()).toEqual(['first run', 'second run']);
    expect((await client.runs.get({ id: 'second-run' })).run.status).toBe('failed');
    await page.context().close();
  });

  it('keeps notes and tags, and finds runs by them, by state, and in an order', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/runs/first-run`);
    await page.getByLabel('Tags, separated by commas').fill(`maths, ${'a'.repeat(41)}`);
    await page.getByText(/is too long for a tag: 40 letters at most/).waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Save', exact: true }).isDisabled()).toBe(true);
    await page.getByLabel('Tags, separated by commas').fill('maths, Größe , maths');
    await page.getByLabel('Notes', { exact: true }).fill('Learned the tickets by heart.');
    await page.getByRole('button', { name: 'Save', exact: true }).press('Enter');
    await page.getByText('Saved.').waitFor();
    await page.reload();
    await expect.poll(() => page.getByLabel('Tags, separated by commas').inputValue()).toBe('maths, Größe');
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    const search = page.getByRole('search', { name: 'Runs' });
    const shown = () => namesIn(page, 'History');
    await search.getByLabel('Order').selectOption('Name');
    await expect.poll(shown).toEqual(['first run', 'second run']);
    for (const text of ['HEART tickets', 'große', 'first maths']) {
      await search.getByLabel('Search').fill(text);
      await expect.poll(shown).toEqual(['first run']);
    }
    await page.getByText('1 of 2 runs').waitFor();
    await shoot(page, 'runs-found');
    await search.getByLabel('Search').fill('heart second');
    await page.getByText('No run here is like that.').waitFor();
    await checkAccessibility(page);
    await page.getByRole('button', { name: 'Show all' }).click();
    await search.getByLabel('State').selectOption('Failed');
    await expect.poll(shown).toEqual(['second run']);
    await search.getByLabel('State').selectOption('Any');
    await search.getByLabel('Tag').selectOption('maths');
    await expect.poll(shown).toEqual(['first run']);
    await search.getByLabel('Tag').selectOption('Any');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('asks before it deletes for good, and then has nothing to undo', async () => {
    const recipe = { model: 'smollm2-135m', dataset: join(scratch.folder, 'rows.jsonl'), method: {}, training: {} };
    const { id } = await client.runs.create({ name: 'mistaken', recipe, hold: true });
    const { page } = await openPage(browser, `${host.url}/#/runs`);
    await page.getByRole('button', { name: 'Delete mistaken' }).click();
    await untilShown(page, '“mistaken” was moved to the trash.');
    await page.getByText(/^Trash/).click();
    const forGood = page.getByRole('button', { name: 'Delete mistaken for good' });
    await forGood.click();
    const question = page.getByRole('alertdialog', { name: 'Delete “mistaken” for good?' });
    // The key at hand takes nothing away.
    await question.getByRole('button', { name: 'Cancel' }).and(page.locator(':focus')).waitFor();
    await page.keyboard.press('Enter');
    await question.waitFor({ state: 'hidden' });
    expect((await client.runs.list()).trashed.map((run) => run.id)).toContain(id);
    await forGood.click();
    await question.getByRole('button', { name: 'Delete for good' }).click();
    await expect.poll(async () => (await client.runs.list()).trashed.length).toBe(0);
    await page.getByRole('button', { name: 'Undo' }).waitFor({ state: 'detached' });
    await page.context().close();
  });

  it('says what another window made of a run that was deleted here, in place of an undo', async () => {
    const recipe = { model: 'smollm2-135m', dataset: join(scratch.folder, 'rows.jsonl'), method: {}, training: {} };
    const { id } = await client.runs.create({ name: 'shared', recipe, hold: true });
    const { page } = await openPage(browser, `${host.url}/#/runs`);
    const undo = page.getByRole('button', { name: 'Undo', exact: true });
    for (const [elsewhere, sentence] of [
      ['restore', '“shared” was taken out of the trash in another window or tab: there is nothing left to undo.'],
      ['purge', '“shared” was deleted for good in another window or tab: it can’t be brought back.'],
    ] as const) {
      await page.getByRole('button', { name: 'Delete shared', exact: true }).click();
      await undo.waitFor();
      // Until the page has heard of its own change: what is taken back at once is no change to tell of.
      await page.getByRole('link', { name: 'shared', exact: true }).waitFor({ state: 'detached' });
      await client.runs[elsewhere]({ id });
      await untilShown(page, sentence);
      await undo.waitFor({ state: 'detached' });
    }
    await page.context().close();
  });

  it.skipIf(noModel)(
    `makes a run again in the wizard, with all of its recipe${noModel ? ` (${noModel})` : ''}`,
    async () => {
      const recipe = {
        model: 'smollm2-135m',
        dataset: [{ path: join(scratch.folder, 'rows.jsonl'), weight: 2.5 }],
        method: { name: 'effilora', rank: 6, heads: 5, alpha: 24, reducer: { ratio: 0.4, warmup: 11, interval: 7 } },
        training: { steps: 77, batch: 2, sequenceLength: 96, learningRate: 3e-4, loss: 'all', seed: 9, evalSplit: 0.2 },
        engine: 'wasm',
        init: join(scratch.folder, 'runs', 'first-run'),
      };
      const { id } = await client.runs.create({ name: 'careful', recipe, hold: true });
      const { page } = await openPage(browser, `${host.url}/#/runs`);
      await page.getByRole('button', { name: 'Duplicate careful' }).click();
      await untilShown(page, 'Predicted memory');
      await page.getByRole('button', { name: 'Continue' }).click();
      await expect.poll(() => page.getByLabel('Name of the run').inputValue()).toBe('careful again');
      await page.getByText('The recipe, for experts').click();
      const shown = async () => parse((await page.getByLabel('Recipe', { exact: true }).textContent())!) as object;
      await expect.poll(shown).toMatchObject((await client.runs.get({ id })).recipe);
      await page.getByText('Starts from the adapter “first run”').waitFor();
      await page.getByRole('button', { name: 'Start afresh' }).click();
      await expect.poll(() => page.getByLabel('Recipe', { exact: true }).textContent()).not.toContain('init:');
      await page.context().close();
    },
  );

  it('orders the queue, by a click and by the keyboard', async () => {
    await client.settings.set({ folders: [TINY_MODEL] });
    const dataset = writeTokens(join(scratch.folder, 'tokens.jsonl'));
    const training = { steps: 50_000, batch: 4, sequenceLength: 32 };
    const recipe = { model: TINY_MODEL, dataset, method: { rank: 2, heads: 3 }, training };
    const { id: going } = await client.runs.create({ name: 'going', recipe });
    for (const name of ['a', 'b', 'c']) await client.runs.create({ name, recipe });
    const { page } = await openPage(browser, `${host.url}/#/runs/${going}`);
    const gpu = page.locator('dl.facts > div', { hasText: 'NVIDIA H100' });
    await expect.poll(() => gpu.locator('dd').textContent()).toMatch(/63 %\s*12\.0 GiB of 80\.0 GiB/);
    await page.getByRole('link', { name: 'Runs' }).click();
    await page.getByRole('heading', { name: 'Queue' }).waitFor();
    await expect.poll(() => namesIn(page, 'Queue')).toEqual(['a', 'b', 'c']);
    await page.getByRole('button', { name: 'Move c up' }).click();
    await expect.poll(() => namesIn(page, 'Queue')).toEqual(['a', 'c', 'b']);
    await page.getByRole('button', { name: 'Move a down' }).press('Enter');
    await expect.poll(() => namesIn(page, 'Queue')).toEqual(['c', 'a', 'b']);
    await expect.poll(() => page.getByRole('button', { name: 'Move c up' }).isDisabled()).toBe(true);
    // The order is the trainer's, too: when the run before it stops, c is next.
    await client.runs.stop({ id: going });
    const states = async () => (await client.runs.list()).runs.map(({ name, status }) => `${name} ${status}`);
    await expect.poll(states).toEqual(expect.arrayContaining(['c running', 'a queued', 'b queued']));
    await page.context().close();
  });
});
