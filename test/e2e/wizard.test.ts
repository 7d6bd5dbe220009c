import { basename, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_MODEL, isPackagedModelThere } from '../../src-main/models/default-model.ts';
import { startHub } from '../studio/support/hub.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { connectClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const missing = noBrowser ?? (isPackagedModelThere(DEFAULT_MODEL) ? undefined : 'needs the default model (npm start)');

/** Drops a file on the page's drop field, as from a file manager. */
async function drop(page: Page, name: string, content: string): Promise<void> {
  const file = `new File([${JSON.stringify(content)}], ${JSON.stringify(name)})`;
  const data = await page.evaluateHandle(
    `(() => { const transfer = new DataTransfer(); transfer.items.add(${file}); return transfer; })()`,
  );
  await page.locator('.drop').first().dispatchEvent('drop', { dataTransfer: data });
}
const step = (page: Page, name: string) => page.locator('.steps button', { hasText: name });
const goOn = (page: Page) => page.getByRole('button', { name: 'Continue' });

describe.skipIf(missing)(`wizard (${missing ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let hub: Awaited<ReturnType<typeof startHub>>;
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    hub = await startHub({ 'broken.gguf': Buffer.from('no model'), 'rows.jsonl': Buffer.from('{"text":"a"}\n') });
    host = await startHost(scratch.folder, 0, { HF_ENDPOINT: hub.url });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    await hub?.close();
    scratch.remove();
  });

  it('says what is wrong at every step, loses nothing going back and forth, and is there again after a restart', async () => {
    const { page } = await openPage(browser, `${host.url}/#/new`);
    // Base model: wrong kinds of file, and nothing chosen.
    await untilShown(page, 'Qwen3-4B');
    await expect.poll(() => goOn(page).isDisabled()).toBe(true);
    await drop(page, 'model.gguf', 'this is no model');
    await untilShown(page, /model\.gguf.*GGUF/);
    await drop(page, 'notes.docx', 'text');
    await untilShown(page, /no kind of file the studio reads/);
    // A Hugging Face folder is taken as it is.
    await dragOnto(page.locator('.drop').first(), [writeTinyChatModel(join(scratch.folder, 'tiny-chat'))]);
    await expect.poll(() => page.getByRole('radio', { name: /^tiny-chat/ }).isChecked()).toBe(true);
    await page.getByRole('radio', { name: /SmolLM2-135M-Instruct/ }).check();
    await goOn(page).click();

    // Dataset: broken rows are named, columns that fit nothing can be mapped.
    // (Words would be guessed; numbers are neither question nor answer by themselves.)
    await drop(page, 'odd.csv', 'eins,zwei\n47110,81\n2,3\n,4\n');
    await untilShown(page, /its columns \(eins, zwei\) fit no known format/);
    await expect.poll(() => goOn(page).isDisabled()).toBe(true);
    await page.getByRole('combobox', { name: 'Which column is the question?' }).selectOption('eins');
    await page.getByRole('combobox', { name: 'Which the answer?' }).selectOption('zwei');
    await untilShown(page, 'As the model reads it');
    await untilShown(page, /the instruction is empty: rows \d/);
    await untilShown(page, /47110/);
    // One of three rows is more than may be left out without a word.
    await page.getByRole('checkbox', { name: /1 of its 3 rows can't be used/ }).check();
    await goOn(page).click();

    // Budget: too small says so and what to do.
    await untilShown(page, 'Predicted memory');
    const memory = page.getByRole('slider', { name: /Memory/ });
    await memory.fill('0.2');
    await untilShown(page, /raise the memory by/);
    await expect.poll(() => goOn(page).isDisabled()).toBe(true);
    await expect.poll(() => step(page, 'Review').isDisabled()).toBe(true);
    await memory.fill('8');
    await page.getByText('raise the memory by').waitFor({ state: 'detached' });
    await page.getByText('Expert: fix any of these yourself').click();
    await page.getByLabel('Rank', { exact: true }).fill('12');
    await page.getByLabel('Rank', { exact: true }).blur();
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'A, rank 12, shared by every layer');

    // Back and forth, then a killed studio: everything is as it was left.
    await step(page, 'Base model').click();
    await expect.poll(() => page.getByRole('radio', { name: /SmolLM2-135M-Instruct/ }).isChecked()).toBe(true);
    await step(page, 'Budget').click();
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'A, rank 12, shared by every layer');
    const { client, close } = await connectClient(host.url);
    await expect.poll(() => client.drafts.get()).toMatchObject({ step: 2, fixed: { 'method.rank': 12 } });
    close();
    const port = Number(new URL(host.url).port);
    await host.kill();
    host = await startHost(scratch.folder, port, { HF_ENDPOINT: hub.url });
    await page.reload();
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'A, rank 12, shared by every layer');
    await goOn(page).click();
    await page.getByText('The recipe, for experts').click();
    await untilShown(page, /rank: 12/);
    await untilShown(page, /instruction: eins/);
    // The last step needs the plan, which is made again.
    const again = await connectClient(host.url);
    await expect.poll(() => again.client.drafts.get()).toMatchObject({ step: 3 });
    again.close();
    await page.reload();
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'A, rank 12, shared by every layer');
    await page.context().close();
  });

  it('mixes two datasets by their weights', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await page.getByRole('button', { name: 'Start over' }).click();
    await page.getByRole('radio', { name: /SmolLM2-135M-Instruct/ }).check();
    await goOn(page).click();
    const rows = (text: string) => `${JSON.stringify({ instruction: text, output: `${text}!` })}\n`.repeat(30);
    for (const name of ['sums', 'words']) {
      await drop(page, `${name}.jsonl`, rows(name));
      await page.getByRole('button', { name: `Take ${name}.jsonl out` }).waitFor();
    }
    const weights = page.getByRole('spinbutton', { name: 'Weight' });
    await weights.nth(0).fill('3');
    await weights.nth(1).fill('0.5');
    await untilShown(page, 'As the model reads it');
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    await goOn(page).click();
    await untilShown(page, 'Predicted memory');
    await goOn(page).click();
    await page.getByText('The recipe, for experts').click();
    const mix = async () => {
      const shown = await page.getByLabel('Recipe', { exact: true }).textContent();
      const { dataset } = parse(shown!) as { dataset: { path: string; weight: number }[] };
      return dataset.map(({ path, weight }) => [basename(path), weight]);
    };
    await expect.poll(mix).toEqual([
      ['sums.jsonl', 3],
      ['words.jsonl', 0.5],
    ]);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('searches the hub, and says when what came is no model', async () => {
    const { page } = await openPage(browser, `${host.url}/#/new`);
    await step(page, 'Base model').click();
    await page.getByRole('searchbox').fill('tiny');
    await page.getByRole('searchbox').press('Enter');
    await page.getByRole('button', { name: 'Open acme/tiny' }).click();
    await page.getByRole('button', { name: 'Download broken.gguf' }).click();
    await untilShown(page, '✕ failed');
    await untilShown(page, /broken\.gguf.*GGUF/);
    await page.getByRole('searchbox').fill('nothing of the kind');
    await page.getByRole('searchbox').press('Enter');
    await untilShown(page, 'The hub knows nothing of that name.');
    await page.context().close();
  });
});
