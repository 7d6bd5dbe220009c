import { promises as fs } from 'node:fs';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { writePictureData, writePictureModel } from '../tasks/support.ts';
import type { StudioClient } from './support/client.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`from a folder of pictures to a run (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let page: Page;
  let errors: string[];
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await writePictureModel(studio.folder);
    const broken = ['half.png', 'huge.png'].map((name) => `${name},What colour?,red`);
    data = await writePictureData(studio.folder, broken);
    const whole = await fs.readFile(join(data, '0.png'));
    await fs.writeFile(join(data, 'half.png'), whole.subarray(0, -20));
    const huge = { width: 10_000, height: 10_000, channels: 3 as const, background: '#fff' };
    await sharp({ create: huge, limitInputPixels: false }).png().toFile(join(data, 'huge.png'));
    ({ host, browser, client } = await studio.open());
    await client.models.add({ path: writeTinyChatModel(join(studio.folder, 'tiny-chat')) });
    await client.models.add({ path: model });
    const fixed = { 'training.steps': 4, 'training.sequenceLength': 400, 'training.evalSplit': 0.25 };
    const draft = { step: 0, name: 'colours', model: null, mix: [], lossOn: 'answer' as const, memoryBytes: 2 ** 31, seconds: null, fixed }; // prettier-ignore
    await client.drafts.set(draft);
    ({ page, errors } = await openPage(browser, `${host.url}/#/new`));
  });

  const goOn = () => page.getByRole('button', { name: 'Continue' });
  const card = (name: string) => page.locator('label.model', { has: page.locator('strong', { hasText: name }) });
  const leftOut = (text: RegExp) => page.getByRole('listitem').filter({ hasText: text });

  it('explains to who chose a model without eyes that it needs one with them', async () => {
    await expect.poll(() => card('tiny-chat').getByText('sees pictures').count()).toBe(0);
    await card('tiny-chat').click();
    await goOn().click();
    await page.getByRole('button', { name: 'Browse…' }).click();
    await page.getByRole('button', { name: basename(studio.folder), exact: true }).click();
    await page.getByRole('button', { name: `▸ ${basename(data)}` }).click();
    await page.locator('dialog code', { hasText: data }).waitFor();
    await page.getByRole('button', { name: 'Take this folder as a dataset' }).click();
    await page.getByRole('alert').getByText('the base model reads text alone; choose one that sees pictures').waitFor();
    await expect.poll(() => goOn().isEnabled()).toBe(false);
  });

  it('shows what becomes of the pictures, and names those that are no use by their rows', async () => {
    await page.locator('.steps button').first().click();
    await card('model').getByText('sees pictures').waitFor();
    await card('model').click();
    await goOn().click();
    await page.getByRole('img', { name: '0.png' }).waitFor();
    await untilShown(page, /^0\.png becomes \d+ tokens, of \d+ in all; none of a picture’s is learned\.$/);
    const example = page.getByLabel('Example', { exact: true });
    await expect.poll(() => example.locator('mark').allTextContents()).toEqual([expect.stringContaining('red')]);
    await leftOut(/^half\.png is not a whole PNG picture .*: rows 18$/).waitFor();
    await leftOut(/^huge\.png has 10000 x 10000 pixels.*: rows 19$/).waitFor();
    await page.getByLabel('Next example').click();
    await page.getByRole('img', { name: '1.png' }).waitFor();
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await checkAccessibility(page);
      await shoot(page, `wizard-pictures-${width}`);
    }
    await page.setViewportSize({ width: 1360, height: 900 });
    await page.getByLabel(/of its 18 rows can't be used/).check();
  });

  it('trains on them, and shows each beside the answers to its question', async () => {
    await goOn().click();
    await untilShown(page, 'Predicted memory');
    await goOn().click();
    await page.getByRole('button', { name: 'Start training' }).click();
    await page.getByRole('link', { name: 'Chat', exact: true }).waitFor();
    const samples = page.getByRole('region', { name: 'Sample answers' });
    await expect.poll(() => samples.getByRole('img', { name: /^\d+\.png$/ }).count()).toBe(2);
    await samples.getByText('Before training').first().waitFor();
    await checkAccessibility(page);
    await shoot(page, 'run-pictures');
  });

  it('shows them on the dataset’s page, too', async () => {
    const { id } = (await client.datasets.list()).find(({ path }) => path === data)!;
    await page.goto(`${host.url}/#/datasets/${encodeURIComponent(id)}`);
    const rows = page.getByRole('region', { name: 'Rows' });
    await rows.getByRole('img', { name: '15.png' }).waitFor();
    await rows.getByRole('row').filter({ hasText: 'half.png is not a whole PNG picture' }).waitFor();
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await checkAccessibility(page);
      await shoot(page, `dataset-pictures-${width}`);
    }
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
  });
});
