import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { TINY_MODEL } from '../trainer/support.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { seriousFaults } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const PICTURES = join(import.meta.dirname, '../models/data/vision/pictures');

describe.skipIf(noBrowser)(`files dropped anywhere (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  const at = (name: string) => join(studio.folder, name);
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let page: Page;
  let errors: string[];

  beforeAll(async () => {
    cpSync(TINY_MODEL, at('heather'), { recursive: true });
    mkdirSync(at('desk'));
    await writeRandomAdapter(at('desk/autumn'), at('heather'));
    writeTinyChatModel(at('desk/tiny-chat'));
    for (const name of ['tickets', 'letters']) writeFileSync(at(`desk/${name}.csv`), 'question,answer\na?,b\nc?,d\n');
    writeFileSync(at('desk/beach.jpg'), 'sea');
    for (const name of ['shapes', 'holiday']) {
      mkdirSync(at(`desk/${name}/pictures`), { recursive: true });
      cpSync(join(PICTURES, 'plain.png'), at(`desk/${name}/pictures/a & b #1.png`));
    }
    writeFileSync(at('desk/shapes/metadata.csv'), 'image,question,answer\npictures/a & b #1.png,What is it?,a shape\n');
    writeFileSync(at('desk/broken.gguf'), 'GGUF and no more');
    ({ host, browser, client } = await studio.open());
    ({ page, errors } = await openPage(browser, host.url));
  });

  const dropOn = async (hash: string, title: string, ...names: string[]) => {
    await page.goto(`${host.url}/#/${hash}`);
    const heading = page.getByRole('heading', { name: title, level: 1, exact: true });
    await heading.waitFor();
    await dragOnto(
      heading,
      names.map((name) => at(`desk/${name}`)),
    );
  };
  const chosen = async () => (await client.drafts.get()).model;

  it('become a dataset, an adapter or a model, from whichever page', async () => {
    await dropOn('settings', 'Settings', 'tickets.csv');
    await page.getByRole('heading', { name: 'tickets.csv', level: 1 }).waitFor();
    await dropOn('runs', 'Runs', 'autumn');
    await page.getByRole('heading', { name: 'autumn', level: 1, exact: true }).waitFor();
    await dropOn('evaluations', 'Evaluation', 'tiny-chat');
    await page.getByRole('heading', { name: 'Base model', level: 1 }).waitFor();
    await expect.poll(chosen).toMatch(/tiny-chat$/);
    await page.getByRole('radio', { name: /^tiny-chat/, checked: true }).waitFor();
    await expect.poll(() => page.locator('dialog[open]').count()).toBe(0);
    expect(errors).toEqual([]);
  });

  it('go into the new fine-tune that is open', async () => {
    await dropOn('new', 'Base model', 'letters.csv');
    await expect.poll(async () => (await client.drafts.get()).mix).toMatchObject([{ path: /letters\.csv$/ }]);
    await dropOn('new', 'Base model', 'tickets.csv');
    await expect.poll(async () => (await client.drafts.get()).mix.length).toBe(2);
    expect(page.url()).toMatch(/#\/new$/);
  });

  it('become a dataset with its pictures, from a folder of them with a table', async () => {
    await dropOn('settings', 'Settings', 'shapes');
    await page.getByRole('heading', { name: 'shapes', level: 1 }).waitFor();
    const shown = page.getByRole('region', { name: 'Rows' }).getByRole('img', { name: 'a & b #1.png' });
    await shown.waitFor();
    await expect.poll(() => shown.getAttribute('title')).toMatch(/37 × 23 pixels/);
    // On the step of datasets, too, beside what is there.
    await page.goto(`${host.url}/#/new`);
    await page.locator('.steps button', { hasText: 'Dataset' }).click();
    await dragOnto(page.locator('.drop').first(), [at('desk/shapes')]);
    await expect.poll(async () => (await client.drafts.get()).mix.at(-1)?.path).toMatch(/shapes$/);
  });

  it('are refused in a sentence where the studio can’t read them', async () => {
    const refused = page.getByRole('dialog', { name: 'What was dropped' });
    for (const [names, told] of [
      [['beach.jpg'], /"beach.jpg" is no kind of file the studio reads. Drop one of .gguf/],
      [['broken.gguf'], /broken.gguf/],
      [['holiday'], /holiday holds pictures, and no table .* the columns image, question and answer/],
      [['tickets.csv', 'letters.csv'], /These are 2 files. Drop one file or one folder at a time./],
    ] as const) {
      await dropOn('settings', 'Settings', ...names);
      await refused.getByRole('alert').getByText(told).waitFor();
      if (names[0] === 'beach.jpg') expect(await seriousFaults(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await refused.waitFor({ state: 'hidden' });
      expect(page.url()).toMatch(/#\/settings$/);
    }
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
  });
});
