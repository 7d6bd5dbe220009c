import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Draft } from '../../src-preload/contract/index.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { holdCalls } from './support/calls.ts';
import { connectClient } from './support/client.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const goOn = (page: Page) => page.getByRole('button', { name: 'Continue' });
/** One character to a person, five to a program. */
const FIREFIGHTER = '👩‍🚒';
const DATASET = 1;
const BUDGET = 2;

describe.skipIf(noBrowser)(`the way through the wizard (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let close: () => void;
  let draft: Draft;
  beforeAll(async () => {
    const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const rows = join(scratch.folder, 'rows.jsonl');
    writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    const budget = { memoryBytes: 2 ** 31, seconds: null, fixed: {} };
    draft = { step: BUDGET, name: '', model, mix: [{ path: rows, weight: 1 }], lossOn: 'answer', ...budget };
    host = await startHost(scratch.folder);
    browser = await openBrowser();
    ({ client, close } = await connectClient(host.url));
  });
  beforeEach(() => client.drafts.set(draft));
  afterAll(async () => {
    close?.();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  it('asks which dataset of a folder is meant where it holds several, and learns from that one', async () => {
    const languages = join(scratch.folder, 'languages');
    mkdirSync(languages);
    const row = '{"instruction":"Say hello.","output":"Hello."}\n';
    for (const [name, rows] of Object.entries({ german: 30, french: 50 }))
      writeFileSync(join(languages, `${name}.jsonl`), row.repeat(rows));
    const configs = ['german', 'french'].map((name) => `- config_name: ${name}\n  data_files: ${name}.jsonl`);
    writeFileSync(join(languages, 'README.md'), `---\nconfigs:\n${configs.join('\n')}\n---\n`);
    await client.drafts.set({ ...draft, mix: [], step: DATASET });
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await page.getByRole('button', { name: 'Browse…' }).click();
    await page.getByRole('button', { name: basename(scratch.folder), exact: true }).click();
    await page.getByRole('button', { name: '▸ languages' }).click();
    await page.getByRole('button', { name: 'Take this folder as a dataset' }).click();
    const dialog = page.getByRole('dialog', { name: 'This folder holds several datasets' });
    await dialog.getByLabel('Which one do you want?').selectOption('french');
    await dialog.getByRole('button', { name: 'Add it' }).click();
    const choice = page.getByLabel('Which of its configurations to learn from');
    await expect.poll(() => choice.inputValue()).toBe('french');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('shows the folder that was asked for last, whichever is listed first', async () => {
    for (const name of ['first', 'second']) mkdirSync(join(scratch.folder, 'two', name), { recursive: true });
    await client.drafts.set({ ...draft, mix: [], step: DATASET });
    const [first, second] = ['first', 'second'].map((name) => join(scratch.folder, 'two', name));
    let held!: Awaited<ReturnType<typeof holdCalls>>;
    const before = async (page: Page) => void (held = await holdCalls(page, [first!]));
    const { page, errors } = await openPage(browser, `${host.url}/#/new`, { before });
    await page.getByRole('button', { name: 'Browse…' }).click();
    await page.getByRole('button', { name: basename(scratch.folder), exact: true }).click();
    await page.getByRole('button', { name: '▸ two' }).click();
    await page.getByRole('button', { name: '▸ first' }).click();
    await expect.poll(() => held.count()).toBe(1);
    await page.getByRole('button', { name: '▸ second' }).click();
    await untilShown(page, second!);
    const answered = held.answers();
    held.release();
    await expect.poll(() => held.answers()).toBe(answered + 1);
    await expect.poll(() => page.getByText(first!, { exact: true }).count()).toBe(0);
    await untilShown(page, second!);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('takes a folder with splits, and asks what the run is judged by', async () => {
    const letters = join(scratch.folder, 'letters');
    mkdirSync(letters);
    const row = '{"instruction":"Say hello.","output":"Hello."}\n';
    for (const [split, rows] of Object.entries({ train: 40, validation: 6, test: 9 }))
      writeFileSync(join(letters, `${split}.jsonl`), row.repeat(rows));
    await client.drafts.set({ ...draft, mix: [], step: DATASET });
    let held!: Awaited<ReturnType<typeof holdCalls>>;
    const before = async (page: Page) => void (held = await holdCalls(page, [letters]));
    const { page, errors } = await openPage(browser, `${host.url}/#/new`, { before });
    await page.getByRole('button', { name: 'Browse…' }).click();
    await page.getByRole('button', { name: basename(scratch.folder), exact: true }).click();
    await page.getByRole('button', { name: '▸ letters' }).click();
    // Until it is listed the folder around it is shown, which is not the one to take.
    const take = page.getByRole('button', { name: 'Take this folder as a dataset' });
    await expect.poll(() => held.count()).toBe(1);
    await expect.poll(() => take.isDisabled()).toBe(true);
    held.release();
    await take.click();
    const choice = page.getByLabel('To see how well it goes, hold out');
    const shown = () => choice.locator('option:checked').textContent();
    await expect.poll(shown).toContain('the split that came with it (validation, 6 rows)');
    const share = page.getByText('Held out, never trained on');
    await expect.poll(() => share.count()).toBe(0);
    await choice.selectOption('test');
    await expect.poll(shown).toContain('the split that came with it (test, 9 rows)');
    await choice.selectOption('part');
    await share.waitFor();
    await choice.selectOption('test');
    await expect.poll(() => share.count()).toBe(0);
    await goOn(page).click();
    await untilShown(page, 'Predicted memory');
    await expect.poll(async () => (await client.drafts.get()).mix).toMatchObject([{ path: letters, heldOut: 'test' }]);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('goes on from a dataset that was still being read', async () => {
    await client.drafts.set({ ...draft, step: DATASET });
    let held!: Awaited<ReturnType<typeof holdCalls>>;
    const before = async (page: Page) => void (held = await holdCalls(page, ['datasets/preview']));
    const { page, errors } = await openPage(browser, `${host.url}/#/new`, { before });
    await untilShown(page, 'Reading and tokenizing…');
    await expect.poll(() => held.count()).toBe(1);
    await goOn(page).click();
    await untilShown(page, 'Predicted memory');
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    await page.locator('.steps button', { hasText: 'Dataset' }).click();
    held.release();
    await untilShown(page, 'As the model reads it');
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('says from which step heads freeze in the run that it will start', async () => {
    await client.drafts.set({ ...draft, fixed: { 'training.steps': 60, 'method.reducer.ratio': 0.4 } });
    const { page } = await openPage(browser, `${host.url}/#/new`);
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'From step 40 the 40 % least important heads are frozen');
    await page.context().close();
  });

  it('offers three paces, each in a sentence, and sums the run up before it starts', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    const pace = (name: string) => page.getByRole('radio', { name: new RegExp(`^${name}`) });
    await expect.poll(() => pace('Balanced').isChecked()).toBe(true);
    await untilShown(page, /^Sees every example 2\.9 times, about .* of memory\.$/);
    await page.getByText('What it builds, and why').click();
    await pace('Thorough').check();
    // 10 of 40 examples are held out; 8 a step, 11 steps are 2.9 times through the rest.
    await untilShown(page, /^22 steps of about|You set this yourself/);
    await expect.poll(async () => (await client.drafts.get()).fixed['training.steps']).toBe(22);
    await page.getByRole('button', { name: 'What is this: Rank?' }).click();
    await untilShown(page, /The rank says how much room each head has/);
    await page.keyboard.press('Escape');
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    await goOn(page).click();
    await untilShown(page, /^tiny-chat learns from rows: 5\.9 times through all examples/);
    await expect.poll(() => page.getByLabel('Name of the run').inputValue()).toBe('tiny-chat on rows');
    await expect.poll(() => page.getByLabel('Recipe', { exact: true }).isVisible()).toBe(false);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('takes a file that cannot be read into no list', async () => {
    await client.drafts.set({ ...draft, step: DATASET, mix: [] });
    const broken = join(scratch.folder, 'broken.jsonl');
    writeFileSync(broken, '{"instruction":"Say hello.","output":\n');
    const { page } = await openPage(browser, `${host.url}/#/new`);
    await dragOnto(page.locator('.drop').first(), [broken]);
    await untilShown(page, 'The dataset "broken.jsonl" holds no usable row');
    await expect.poll(() => page.getByRole('heading', { name: 'The mix' }).count()).toBe(0);
    expect((await client.datasets.list()).map(({ name }) => name)).not.toContain('broken.jsonl');
    await expect.poll(() => page.getByRole('button', { name: '+ broken.jsonl' }).count()).toBe(0);
    await page.context().close();
  });

  it('keeps the columns open and the focus where it is while they are chosen', async () => {
    await client.drafts.set({ ...draft, step: DATASET, mix: [] });
    const odd = join(scratch.folder, 'odd.csv');
    writeFileSync(
      odd,
      `Frage,Antwort,Anmerkung\nWie geht es?,Gut.,${FIREFIGHTER.repeat(130)}\n` + 'Und dir?,Auch gut.,\n'.repeat(30),
    );
    const { page } = await openPage(browser, `${host.url}/#/new`);
    await dragOnto(page.locator('.drop').first(), [odd]);
    const question = page.getByRole('combobox', { name: 'Which column is the question?' });
    const answer = page.getByRole('combobox', { name: 'Which the answer?' });
    // Both are guessed, so that nothing has to be asked; who wants to see them opens them.
    await page.getByText('Which column is what').click();
    await answer.waitFor();
    await expect.poll(() => question.inputValue()).toBe('Frage');
    await expect.poll(() => answer.inputValue()).toBe('Antwort');
    // Of a long value whole characters are shown, and of the file its name alone.
    await page.getByText('All columns, with an example each').click();
    const example = page.locator('dt', { hasText: 'Anmerkung' }).locator('xpath=following-sibling::dd[1]');
    await expect.poll(() => example.textContent()).toBe(FIREFIGHTER.repeat(120));
    await expect.poll(() => page.locator('main').innerText()).not.toMatch(/uploads|[0-9a-f]{8}/);
    await answer.selectOption('Frage');
    await answer.focus();
    // A letter takes no column by itself.
    await page.keyboard.press('A');
    await expect.poll(() => answer.inputValue()).toBe('Frage');
    // In the list that it opened one is chosen and taken.
    for (const key of ['A', 'Enter']) await page.keyboard.press(key);
    await expect.poll(() => answer.inputValue()).toBe('Antwort');
    await untilShown(page, 'As the model reads it');
    await expect.poll(() => answer.isVisible()).toBe(true);
    await expect.poll(() => answer.evaluate((select) => select === select.ownerDocument.activeElement)).toBe(true);
    await page.context().close();
  });

  it('says at its field what is wrong with a value of the expert', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await untilShown(page, 'Predicted memory');
    await page.getByText('Expert: fix any of these yourself').click();
    const told = async (label: string) => {
      const id = await page.getByLabel(label, { exact: true }).getAttribute('aria-describedby');
      return id ? page.locator(`[id="${id}"]`).textContent() : undefined;
    };
    const fill = async (label: string, text: string) => {
      await page.getByLabel(label, { exact: true }).fill(text);
      await page.getByLabel(label, { exact: true }).blur();
    };
    // An empty field shows what is planned.
    await expect.poll(() => page.getByLabel('Alpha, scale = alpha / rank').getAttribute('placeholder')).toBe('64');
    await fill('Rank', '0');
    await expect.poll(async () => (await told('Rank'))?.trim()).toBe('Rank takes a whole number from 1 to 1,024.');
    await expect.poll(() => page.getByLabel('Rank', { exact: true }).inputValue()).toBe('0');
    await expect.poll(() => goOn(page).isDisabled()).toBe(true);
    await expect.poll(() => told('Heads a site')).toBeUndefined();
    await fill('Rank', '12');
    await page.getByText('What it builds, and why').click();
    await untilShown(page, 'A, rank 12, shared by every layer');
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    // What only the whole recipe shows stands at its field, too.
    await fill('First selection after, steps', '9');
    await fill('Full ratio at step', '5');
    await expect.poll(() => told('Full ratio at step')).toMatch(/Full ratio at step \(5\) has to lie behind/);
    await expect.poll(() => page.getByLabel('Rank', { exact: true }).isVisible()).toBe(true);
    await expect.poll(() => page.getByText(/line \d/).count()).toBe(0);
    await fill('Full ratio at step', '10');
    await expect.poll(() => told('Full ratio at step')).toBeUndefined();
    await expect.poll(() => goOn(page).isEnabled()).toBe(true);
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
    await page.context().close();
  });
});
