import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainerAt } from '../support/trainer-moment.ts';
import { scratchFolder } from '../support/scratch.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { holdCalls } from './support/calls.ts';
import { connectClient, untilRun } from './support/client.ts';
import type { StudioClient } from './support/client.ts';
import { keepRuns } from './support/library.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const SHAPE = { layers: 2, heads: 9, steps: 30, headsEvery: 1 };
const heading = (page: Page) => page.getByRole('heading', { level: 1 });
const state = (page: Page) => page.locator('header .pill').textContent();

describe.skipIf(noBrowser)(`the page of a run (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  const trainer = trainerAt({ kind: 'metrics', step: 5 }, 'SIGSTOP');
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let close: () => void;
  let recipe: Parameters<StudioClient['runs']['create']>[0]['recipe'];
  beforeAll(async () => {
    keepRuns(scratch.folder, [
      { id: 'first-run', status: 'finished', shape: SHAPE },
      { id: 'second-run', status: 'failed', shape: { ...SHAPE, steps: 20 }, rank: 16 },
    ]);
    host = await startHost(scratch.folder, 0, trainer.env);
    browser = await openBrowser();
    ({ client, close } = await connectClient(host.url));
    await client.settings.set({ folders: [TINY_MODEL] });
    recipe = {
      model: TINY_MODEL,
      dataset: writeTokens(join(scratch.folder, 'tokens.jsonl')),
      method: { rank: 2, heads: 3, reducer: { ratio: 0.25, warmup: 10, interval: 10 } },
      training: { steps: 50_000, batch: 4, sequenceLength: 32 },
    };
  });
  afterAll(async () => {
    trainer.release();
    close?.();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  it('shows the run that its address names, and says when there is none', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs/first-run`);
    await expect.poll(() => heading(page).textContent()).toBe('first run');
    await page.evaluate("location.hash = '#/runs/second-run'");
    await expect.poll(() => heading(page).textContent()).toBe('second run');
    await untilShown(page, '20 of 20 steps');
    await page.evaluate("location.hash = '#/runs/no-such-run'");
    await untilShown(page, 'There is no run');
    await expect.poll(() => page.getByText('second run').count()).toBe(0);
    await page.context().close();
  });

  it('gives every head a colour of its own, and model and sites one name each', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs/first-run`);
    await page.getByRole('heading', { name: 'Router' }).waitFor();
    const parts = page.locator('table .bar').first().locator('.part');
    const grounds = () =>
      parts.evaluateAll((all) =>
        all.map((part) => part.ownerDocument.defaultView!.getComputedStyle(part).backgroundColor),
      );
    await expect.poll(async () => new Set(await grounds()).size).toBe(SHAPE.heads);
    await page.getByText('Show the head map as a table').click();
    await page.getByText('SmolLM2-135M-Instruct · rows.jsonl').first().waitFor();
    const text = await page.locator('main').innerText();
    expect(text).toContain('SmolLM2-135M-Instruct · rows.jsonl');
    expect(text).not.toContain('smollm2-135m');
    expect(text).not.toContain('_proj');
    await page.context().close();
  });

  it('labels every axis in words that a person reads', async () => {
    const before = (page: Page) =>
      page.addInitScript(`
        window.drawn = [];
        const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
          window.drawn.push(String(text));
          return draw.call(this, text, ...rest);
        };`);
    const small = join(scratch.folder, 'runs', 'first-run', 'metrics.jsonl');
    const steps = Array.from({ length: 30 }, (_, at) => ({
      step: at + 1,
      loss: 2,
      learningRate: 8e-6 * (1 - at / 40),
    }));
    writeFileSync(small, steps.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const { page } = await openPage(browser, `${host.url}/#/runs/first-run`, { before });
    const drawn = () => page.evaluate<string[]>('window.drawn');
    await expect.poll(drawn).toContain('8×10⁻⁶');
    expect((await drawn()).filter((text) => /\dE-?\d|\de-?\d|\.\d{6}/.test(text))).toEqual([]);
    await page.context().close();
  });

  it('calls a run that was kept for later so, until it is started', async () => {
    const { id } = await client.runs.create({ name: 'for later', recipe, hold: true });
    const { page } = await openPage(browser, `${host.url}/#/runs/${id}`);
    await expect.poll(() => state(page)).toContain('Kept for later');
    await expect.poll(() => page.getByRole('button', { name: 'Start', exact: true }).isVisible()).toBe(true);
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.locator('tr', { hasText: 'for later' }).getByText('Kept for later').waitFor();
    await client.runs.remove({ id });
    await page.context().close();
  });

  it('shows at once what was asked of a run, the share it freezes, and keeps a paused one as it stands', async () => {
    const { id } = await client.runs.create({ name: 'going', recipe });
    let held!: Awaited<ReturnType<typeof holdCalls>>;
    const before = async (page: Page) => void (held = await holdCalls(page, ['runs/pause']));
    const { page } = await openPage(browser, `${host.url}/#/runs/${id}`, { before });
    await untilRun(client, id, (run, step) => run.status === 'running' && step >= 5);
    await trainer.standing();
    await page.getByRole('button', { name: 'Pause' }).click();
    // Neither the studio nor the trainer has answered.
    await expect.poll(() => state(page)).toContain('Pausing…');
    await expect.poll(() => page.getByRole('button', { name: 'Pause' }).isDisabled()).toBe(true);
    await page.locator('nav').getByRole('link', { name: 'Runs', exact: true }).click();
    await page.locator('tr', { hasText: 'going' }).getByText('Pausing…').waitFor();
    await page.getByRole('link', { name: 'going' }).first().click();
    await expect.poll(() => state(page)).toContain('Pausing…');
    held.release();
    await trainer.goOn();
    await expect.poll(() => state(page)).toContain('Paused');
    await page.getByRole('button', { name: 'Resume' }).click();
    await expect.poll(() => state(page)).toContain('Training');

    // The share of frozen heads is the run's own; a change is acknowledged.
    const share = page.getByLabel('Share of frozen heads');
    await expect.poll(() => share.inputValue()).toBe('25');
    const change = page.getByRole('button', { name: 'Change' });
    await expect.poll(() => change.isDisabled()).toBe(true);
    await share.fill('40');
    await change.click();
    await untilShown(page, '40 % from the next selection on.');
    await page.reload();
    await expect.poll(() => share.inputValue()).toBe('40');

    await page.getByRole('button', { name: 'Pause' }).click();
    await expect.poll(() => state(page)).toContain('Paused');
    await page.getByRole('button', { name: 'Stop and keep' }).click();
    await expect.poll(() => state(page)).toContain('Stopped');
    await page.context().close();
  });
});
