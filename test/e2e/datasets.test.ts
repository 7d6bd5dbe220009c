import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

/** A spreadsheet as a person keeps one: odd headers, an empty row, one there twice, umlauts in Windows' own encoding, a cell of two lines. */
const rows = Array.from(
  { length: 30 },
  (_, i) => `${i},Wie spät öffnet Filiale ${i}?,"Filiale ${i} öffnet um neun,\nsamstags um zehn."`,
);
const SHEET = ['Nr,Frage der Kundin,Was wir sagen', ...rows, '', '31,Wo ist das Büro?,', rows[3]].join('\n');

describe.skipIf(noBrowser)(`datasets (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let file: string;
  beforeAll(async () => {
    file = join(studio.folder, 'Fragen.csv');
    writeFileSync(file, Buffer.from(SHEET, 'latin1'));
    ({ host, browser, client } = await studio.open());
    const chat = writeTinyChatModel(join(studio.folder, 'tiny-chat'));
    await client.drafts.set({ step: 0, name: '', model: chat, mix: [], lossOn: 'answer', memoryBytes: 2 ** 31, seconds: null, fixed: {} }); // prettier-ignore
  });
  const cellsOf = (page: Page, row: number) => page.locator('tbody tr', { has: page.getByRole('button', { name: `Edit row ${row}`, exact: true }) }).locator('td'); // prettier-ignore

  it('takes a spreadsheet from this device, asks two plain questions, and says what looks wrong', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/datasets`);
    await page.getByLabel('Upload from this device').setInputFiles(file);
    await untilShown(page, 'What the model learns from it');
    await expect.poll(() => page.getByLabel('Which column is the question?').inputValue()).toBe('Frage der Kundin');
    await expect.poll(() => page.getByLabel('Which the answer?').inputValue()).toBe('Was wir sagen');
    await untilShown(page, 'Wie spät öffnet Filiale 0?');
    await untilShown(page, /read as Windows-1252/);
    await untilShown(page, 'One row says what another row says already.');
    await page.locator('li', { hasText: 'nothing to ask or to answer' }).getByRole('button').click();
    await untilShown(page, 'Wo ist das Büro?');
    await expect.poll(() => page.locator('tbody tr').count()).toBe(1);
    await page.getByRole('button', { name: 'Show all rows' }).click();
    await page.getByPlaceholder('Search the rows').fill('filiale 17');
    await expect.poll(() => page.locator('tbody tr').count()).toBe(1);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('changes rows in a copy, takes changes back, and leaves the file alone', async () => {
    const [entry] = (await client.datasets.list()).filter(({ origin }) => origin === 'library');
    const { page, errors } = await openPage(browser, `${host.url}/#/datasets/${entry!.id}`);
    await page.getByRole('button', { name: 'Make a copy to change its rows' }).click();
    await page.getByRole('button', { name: 'Edit row 2', exact: true }).click();
    await page.getByRole('dialog').getByLabel('Was wir sagen').fill('Um acht.');
    await page.getByRole('button', { name: 'Keep', exact: true }).click();
    await expect.poll(() => cellsOf(page, 2).nth(3).textContent()).toBe('Um acht.');
    await page.getByRole('button', { name: 'Delete row 1', exact: true }).click();
    await expect.poll(() => cellsOf(page, 1).nth(3).textContent()).toBe('Um acht.');
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect.poll(() => cellsOf(page, 2).nth(3).textContent()).toContain('Filiale 1 öffnet');
    await page.getByRole('button', { name: 'Keep one of each (1 go)' }).click();
    await untilShown(page, '1 rows were deleted. Undo brings them back.');
    await expect.poll(() => page.getByText('says what another row says already').count()).toBe(0);
    expect(readFileSync(file, 'latin1')).toBe(SHEET);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('goes on to a fine-tune that reads it as was answered', async () => {
    const [entry] = (await client.datasets.list()).filter(({ own }) => own);
    const { page, errors } = await openPage(browser, `${host.url}/#/datasets/${entry!.id}`);
    await page.getByRole('button', { name: 'Fine-tune with it' }).click();
    await untilShown(page, 'As the model reads it');
    await expect.poll(() => page.getByLabel('Example', { exact: true }).textContent()).toContain('Wie spät öffnet Filiale 0?'); // prettier-ignore
    const draft = await client.drafts.get();
    expect(draft.mix).toMatchObject([{ path: entry!.path, mapping: { instruction: 'Frage der Kundin', output: 'Was wir sagen' } }]); // prettier-ignore
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('takes cells that were pasted, by keyboard alone, and files dropped anywhere', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/datasets`);
    await page.getByRole('button', { name: 'Paste from a spreadsheet' }).press('Enter');
    await page.keyboard.insertText('Wann?\tUm neun Uhr.\nWo?\tIn der Hauptstraße, gegenüber der Kirche.');
    await expect.poll(() => page.getByLabel('The first line names the columns').isChecked()).toBe(false);
    await page.getByRole('button', { name: 'Make a dataset of them' }).press('Enter');
    await untilShown(page, 'There are only 2 rows.');
    await expect.poll(() => page.getByLabel('Which column is the question?').inputValue()).toBe('question');
    await page.getByRole('link', { name: 'Datasets' }).click();
    await untilShown(page, 'Your own table');
    writeFileSync(join(studio.folder, 'dropped.csv'), 'question,answer\na?,b\nc?,d\n');
    await dragOnto(page.getByRole('heading', { name: 'Datasets' }), [join(studio.folder, 'dropped.csv')]);
    await untilShown(page, 'dropped.csv');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('deletes a table of its own for good only when that was said', async () => {
    const [entry] = (await client.datasets.list()).filter(({ own }) => own);
    const { page } = await openPage(browser, `${host.url}/#/datasets`);
    const remove = page.getByRole('button', { name: `Remove ${entry!.name}`, exact: true });
    await remove.click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect(existsSync(entry!.path)).toBe(true);
    await remove.click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    await expect.poll(() => existsSync(entry!.path)).toBe(false);
    await page.context().close();
  });
});
