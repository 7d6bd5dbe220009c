import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ExportTarget, Job } from '../../src-preload/contract/index.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import type { StudioClient } from './support/client.ts';
import { keepRuns } from './support/library.ts';
import { seriousFaults, shoot } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser } from './support/studio.ts';
import type { Host } from './support/studio.ts';

/** Names and sizes in a zip, its sums checked, as Python reads it. */
const LIST_ZIP = `
import json, sys, zipfile
zip = zipfile.ZipFile(sys.argv[1])
assert zip.testzip() is None
print(json.dumps({one.filename: one.file_size for one in zip.infolist()}))`;

describe.skipIf(noBrowser)(`downloads, and finding by keys (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  const at = (name: string) => join(studio.folder, name);
  let host: Host;
  let browser: Browser;
  let page: Page;
  let errors: string[];
  let client: StudioClient;
  let adapter: string;
  let modelName: string;

  beforeAll(async () => {
    cpSync(TINY_MODEL, at('heather'), { recursive: true });
    await writeRandomAdapter(at('Größen & mehr'), at('heather'));
    keepRuns(studio.folder, [
      { id: 'autumn-letters', status: 'finished', shape: { layers: 2, heads: 3, steps: 10, headsEvery: 5 } },
    ]);
    ({ host, browser, client } = await studio.open());
    await client.settings.set({ engine: 'cpu' });
    adapter = (await client.adapters.import({ path: at('Größen & mehr'), model: at('heather') })).id;
    modelName = (await client.models.add({ path: at('heather') })).name;
    await client.datasets.add({ path: writeTokens(at('rows.jsonl'), 24) });
    ({ page, errors } = await openPage(browser, `${host.url}/#/library/${adapter}`));
  });

  async function exported(to: ExportTarget): Promise<Job> {
    const { id } = await client.exporting.start({ id: adapter, to, calibrate: at('rows.jsonl') });
    let last: Job | undefined;
    for await (const now of await client.jobs.follow({ id })) last = now;
    expect(last).toMatchObject({ state: 'done', message: null });
    return last!;
  }
  async function download(name: string): Promise<string> {
    const tray = page.locator('details.tray');
    await tray.waitFor();
    if (!(await tray.evaluate((element) => element.hasAttribute('open')))) await tray.locator('summary').click();
    const coming = page.waitForEvent('download');
    await tray.getByRole('link', { name: `Download ${name}` }).click();
    const file = await coming;
    expect(file.suggestedFilename()).toBe(name);
    expect(await file.failure()).toBeNull();
    return file.path();
  }

  /** An open dialog on a screen and on a phone, in both themes. */
  async function look(name: string) {
    const found: string[] = [];
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      found.push(...(await seriousFaults(page)).map((fault) => `${width} px, ${fault}`));
      const { x, width: own } = (await page.locator('dialog[open]').boundingBox())!;
      if (x < 0 || x + own > width) found.push(`${width} px: the dialog reaches from ${x} over ${own} px`);
      await shoot(page, `${name}-${width}`);
    }
    expect(found).toEqual([]);
    await page.setViewportSize({ width: 1440, height: 900 });
  }

  it('hands an export to the browser as one file under its own name', async () => {
    const { result } = await exported('gguf');
    const kept = await download('Größen-_-mehr-lora-f16.gguf');
    const { folder, files } = result!.outcome!;
    const { name } = files.find((file) => file.name.endsWith('.gguf'))!;
    expect(readFileSync(kept).equals(readFileSync(join(folder, name)))).toBe(true);
  });

  it('hands a folder over as a zip that others can read, and nothing to a stranger or of files that have gone', async () => {
    const { id, result } = await exported('peft');
    const kept = await download('Größen-_-mehr-peft.zip');
    const { folder, files } = result!.outcome!;
    const sizes = Object.fromEntries(
      files.map(({ name }) => [`Größen-_-mehr-peft/${name}`, statSync(join(folder, name)).size]),
    );
    expect(files.length).toBeGreaterThan(2);
    expect(JSON.parse(execFileSync('python3', ['-c', LIST_ZIP, kept], { encoding: 'utf8' }))).toEqual(sizes);
    expect((await fetch(`${host.url}/exports/${id}`)).status).toBe(401);
    rmSync(join(folder, files[0]!.name));
    const gone = await page.request.get(`${host.url}/exports/${id}`);
    expect(gone.status()).toBe(400);
    expect(await gone.text()).toContain(files[0]!.name);
    expect((await page.request.get(`${host.url}/exports/none`)).status()).toBe(400);
    const job = page.getByRole('list', { name: 'Jobs' }).getByRole('listitem').filter({ hasText: 'peft.zip' });
    await job.getByRole('link', { name: /^Download/ }).click();
    await job.getByRole('alert').getByText(`${files[0]!.name} of`).waitFor();
  });

  it('finds pages, runs, datasets, adapters, models and actions by Ctrl-K, from anywhere', async () => {
    const find = page.getByRole('dialog', { name: 'Find anything' });
    const marked = find.locator('[role=option][aria-selected=true]');
    async function go(text: string, shown: string, address: RegExp | string) {
      await page.keyboard.press('Control+k');
      await find.waitFor();
      await page.keyboard.type(text);
      await expect.poll(() => marked.textContent()).toContain(shown);
      await page.keyboard.press('Enter');
      await find.waitFor({ state: 'hidden' });
      await expect.poll(() => page.url()).toMatch(address);
    }
    await go('settings', 'Settings', /#\/settings$/);
    await go('autumn', 'autumn letters', /#\/runs\/autumn-letters$/);
    await go('adapter größen', 'Größen & mehr', new RegExp(`#/library/${adapter}$`));
    await go('dataset rows', 'rows', /#\/datasets\/.+/);
    await go('inspect grö', 'Inspect Größen', new RegExp(`#/library/${adapter}/inspect$`));
    await go(`fine-tune ${modelName}`, `Fine-tune ${modelName}`, /#\/new$/);
    await expect.poll(async () => (await client.drafts.get()).model).toBe(at('heather'));
    await go('dark col', 'Dark colours', /#\/new$/);
    await expect.poll(() => page.locator('html').getAttribute('data-theme')).toBe('dark');
    await go('as the system', 'Colours as the system has them', /#\/new$/);
    // With the focus on nothing that has gone.
    await go('settings', 'Settings', /#\/settings$/);
    await page.locator('#content:focus').waitFor();
  });

  it('is left by Esc, holds the focus while it is open, and is as good on a phone', async () => {
    const find = page.getByRole('dialog', { name: 'Find anything' });
    const button = page.getByRole('button', { name: 'Find anything' });
    await button.press('Enter');
    await page.keyboard.type('no such thing');
    await find.getByText('Nothing here is called so.').waitFor();
    await page.keyboard.press('Tab');
    await expect.poll(() => page.locator('*:focus:not(dialog *)').count()).toBe(0);
    await find.getByRole('combobox').press('Escape');
    await find.waitFor({ state: 'hidden' });
    await button.and(page.locator(':focus')).waitFor();
    // Opened again before the browser tells that it was closed.
    await page.evaluate(`{
      const [button, dialog] = ['button.find', 'dialog.palette'].map((one) => document.querySelector(one));
      button.click();
      dialog.close();
      button.click();
    }`);
    await find.getByRole('option', { name: 'Home' }).waitFor();
    await look('find');
    await page.keyboard.press('Escape');
    await find.waitFor({ state: 'hidden' });
  });

  it('lists its keys by ?, but not to someone who types one', async () => {
    const keys = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    const pages: [string, () => Locator][] = [
      ['library', () => page.getByLabel('Search', { exact: true })],
      [`playground?ids=${adapter}`, () => page.getByLabel('Prompt', { exact: true })],
    ];
    for (const [hash, field] of pages) {
      await page.goto(`${host.url}/#/${hash}`);
      await field().pressSequentially('a?');
      await expect.poll(() => field().inputValue()).toBe('a?');
      await expect.poll(() => keys.isVisible()).toBe(false);
      await field().fill('');
      await field().blur();
    }
    await page.keyboard.press('?');
    await keys.getByText('Ctrl K').waitFor();
    await look('shortcuts');
    // What another dialog asks is answered first.
    await page.keyboard.press('Control+k');
    await expect.poll(() => page.locator('dialog[open]').count()).toBe(1);
    await page.keyboard.press('Escape');
    await keys.waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+k');
    await page.keyboard.type('keyboard');
    await page.getByRole('option', { name: 'Keyboard shortcuts', selected: true }).waitFor();
    await page.keyboard.press('Enter');
    await keys.waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('dialog[open]').count()).toBe(0);
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
  });
});
