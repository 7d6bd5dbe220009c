import {
  cpSync,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { writeRandomAdapter } from '../support/adapters.ts';
import { TINY_MODEL } from '../trainer/support.ts';
import { connectClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { readDrawing, takeFile } from './support/kept-files.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`library in a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  const studio = studioInBrowser();
  const model = join(studio.folder, 'tiny-llama');
  let host: Host;
  let browser: Browser;
  let page: Page;
  let errors: string[];

  beforeAll(async () => {
    cpSync(TINY_MODEL, model, { recursive: true });
    for (const [name, seed] of [
      ['arithmetic', 1],
      ['poems', 2],
      ['dropped', 3],
    ] as const)
      await writeRandomAdapter(join(studio.folder, name), model, { seed });
    const bad = join(studio.folder, 'bad');
    await writeRandomAdapter(bad, model);
    truncateSync(join(bad, 'adapter.safetensors'), 2_000);
    await writeHostileFiles();
    ({ host, browser } = await studio.open());
    ({ page, errors } = await openPage(browser, `${host.url}/#/library`));
  });

  async function importAdapter(name: string) {
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByRole('button', { name: 'Import an adapter' }).click();
    const dialog = page.getByRole('dialog', { name: 'Import an adapter' });
    await dialog.getByLabel('Path').fill(join(studio.folder, name));
    await dialog.getByRole('button', { name: 'Import', exact: true }).click();
    return dialog;
  }

  /** A bomb, a zip that climbs out of its folder, and an adapter whose base model is another one. */
  async function writeHostileFiles(): Promise<void> {
    const adapterJson = readFileSync(join(studio.folder, 'arithmetic/adapter.json'));
    await writeZip('bomb.effilora', 'adapter.json', Buffer.alloc(64 << 20), true);
    await writeZip('escape.effilora', 'xx/adapter.json', adapterJson, false);
    // The zip writer refuses such names itself.
    const bytes = readFileSync(join(studio.folder, 'escape.effilora')).toString('latin1').replaceAll('xx/', '../');
    writeFileSync(join(studio.folder, 'escape.effilora'), bytes, 'latin1');
    const other = join(studio.folder, 'qwen2');
    cpSync(join(TINY_MODEL, '../qwen2'), other, { recursive: true });
    await writeRandomAdapter(join(studio.folder, 'foreign'), other);
    const foreign = join(studio.folder, 'foreign/adapter.json');
    const description = JSON.parse(readFileSync(foreign, 'utf8')) as { recipe: object };
    writeFileSync(foreign, JSON.stringify({ ...description, recipe: { ...description.recipe, model } }));
  }
  async function writeZip(name: string, member: string, bytes: Buffer, compress: boolean): Promise<void> {
    const zip = new ZipFile();
    zip.addBuffer(bytes, member, { compress });
    zip.addBuffer(Buffer.alloc(64), 'adapter.safetensors', { compress: false });
    zip.end();
    await pipeline(zip.outputStream, createWriteStream(join(studio.folder, name)));
  }

  it('imports, and refuses a damaged file in one sentence', async () => {
    await page.getByText('No adapters yet').waitFor();
    await checkAccessibility(page);
    const dialog = await importAdapter('bad');
    await dialog
      .getByRole('alert')
      .getByText(/is not a whole safetensors file/)
      .waitFor();
    await checkAccessibility(page);
    await shoot(page, 'import');
    await dialog.getByRole('button', { name: 'Close' }).click();
    await page.getByText('No adapters yet').waitFor();
    for (const name of ['arithmetic', 'poems']) {
      await importAdapter(name);
      await page.getByRole('heading', { name }).waitFor();
    }
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByRole('link', { name: 'arithmetic' }).waitFor();
    await expect.poll(() => page.getByRole('row').count()).toBe(3);
  });

  it.each([
    ['bomb.effilora', /is not taken in: its adapter\.json would unpack to 67108864 bytes/],
    ['escape.effilora', /is not taken in: .*relative path/],
    ['foreign', /does not fit this model|was made for/],
  ])('refuses %s in one sentence, and the library is as it was', async (name, sentence) => {
    const kept = () => readdirSync(join(studio.folder, 'adapters'));
    const around = () => readdirSync(studio.folder).filter((file) => !file.startsWith('library.db'));
    const before = [kept(), around()];
    const dialog = await importAdapter(name);
    const said = dialog.getByRole('alert').locator('p').filter({ hasText: sentence });
    await expect.poll(() => said.textContent()).not.toContain('\n');
    await expect.poll(() => dialog.getByText('Details').count()).toBe(0);
    await dialog.getByRole('button', { name: 'Close' }).click();
    await expect.poll(() => page.getByRole('row').count()).toBe(3);
    expect([kept(), around()]).toEqual(before);
  });

  it('imports a folder that is dropped anywhere on the library, and says what is wrong with another', async () => {
    await page.getByRole('link', { name: 'Library' }).click();
    const heading = page.getByRole('heading', { name: 'Library', exact: true });
    await dragOnto(heading, [join(studio.folder, 'bad')]);
    const dialog = page.getByRole('dialog', { name: 'Import an adapter' });
    await dialog
      .getByRole('alert')
      .getByText(/is not a whole safetensors file/)
      .waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    mkdirSync(join(studio.folder, 'holiday'));
    writeFileSync(join(studio.folder, 'holiday', 'beach.jpg'), 'sea');
    await dragOnto(heading, [join(studio.folder, 'holiday')]);
    const refused = page.getByRole('dialog', { name: 'What was dropped' });
    await refused.getByText('holiday holds pictures, and no table that says what is asked about them.').waitFor();
    await refused.getByRole('button', { name: 'Close' }).click();

    await dragOnto(heading, [join(studio.folder, 'dropped')]);
    await page.getByRole('heading', { name: 'dropped', exact: true }).waitFor();
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByRole('button', { name: 'Delete dropped' }).click();
    await page.getByText('“dropped” was moved to the trash').waitFor();
    await page.getByRole('button', { name: /^Trash\s+1$/ }).click();
    await page.getByRole('button', { name: 'Delete dropped for good' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete for good' }).click();
    await page.getByRole('button', { name: /^Adapters\s+2$/ }).click();
  });

  it('finds by a tag and by words in the notes', async () => {
    await page.getByRole('link', { name: 'arithmetic' }).click();
    await page.getByLabel('Tags').fill('school, small');
    await page.getByLabel('Notes').fill('Sums for the second form');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByLabel('Search').fill('SECOND sums');
    await page.getByRole('link', { name: 'poems' }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'arithmetic' }).waitFor();
    await page.getByLabel('Search').fill('third');
    await page.getByText('Nothing matches this search').waitFor();
    await page.getByLabel('Search').fill('');
    await page.getByLabel('Tag').selectOption('school');
    await page.getByRole('link', { name: 'poems' }).waitFor({ state: 'detached' });
    await page.getByLabel('Tag').selectOption('');
    await page.getByRole('link', { name: 'poems' }).waitFor();
    await checkAccessibility(page);
    await shoot(page, 'library');
  });

  it('duplicates, archives, deletes and restores', async () => {
    await page.getByRole('button', { name: 'Duplicate poems' }).click();
    await page.getByRole('link', { name: 'poems copy' }).waitFor();
    await page.getByRole('button', { name: 'Archive poems copy' }).click();
    await page.getByRole('link', { name: 'poems copy' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Delete poems' }).click();
    await page.getByText('“poems” was moved to the trash').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByRole('link', { name: 'poems' }).waitFor();
    await page.getByRole('button', { name: /^Archive\s+1$/ }).click();
    await page.getByRole('button', { name: 'Delete poems copy' }).click();
    await page.getByRole('button', { name: /^Trash\s+1$/ }).click();
    await page.getByRole('button', { name: 'Delete poems copy for good' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete for good' }).click();
    await page.getByText('Nothing here.').waitFor();
  });

  it('says what another window made of what was deleted here, in place of an undo', async () => {
    const { client, close } = await connectClient(host.url);
    await page.getByRole('button', { name: /^Adapters\s+2$/ }).click();
    const undo = page.getByRole('button', { name: 'Undo', exact: true });
    for (const [elsewhere, sentence] of [
      ['restore', 'was taken out of the trash in another window or tab: there is nothing left to undo.'],
      ['purge', 'was deleted for good in another window or tab: it can’t be brought back.'],
    ] as const) {
      if (elsewhere === 'restore') await page.getByRole('button', { name: 'Duplicate poems' }).click();
      await page.getByRole('button', { name: 'Delete poems copy' }).click();
      await undo.waitFor();
      const { id } = (await client.adapters.list({ show: 'trash' })).adapters[0]!;
      await client.adapters[elsewhere]({ id });
      await page
        .getByRole('status')
        .filter({ hasText: `“poems copy” ${sentence}` })
        .waitFor();
      await undo.waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Close', exact: true }).click();
      await page.getByText(sentence).waitFor({ state: 'detached' });
    }
    close();
  });

  it('verifies, shows the lineage, and says when files are gone', async () => {
    await page.getByRole('button', { name: /^Adapters\s+2$/ }).click();
    await page.getByRole('button', { name: 'Duplicate poems' }).click();
    await page.getByRole('link', { name: 'poems copy' }).click();
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('✓ Base model tiny-llama').waitFor();
    await page
      .getByText('copy of poems')
      .or(page.locator('li', { hasText: 'copy of' }))
      .first()
      .waitFor();
    await page.getByText('Keep the lineage as a file').click();
    const csv = (await takeFile(page, 'Lineage of poems copy as CSV')).bytes.toString();
    expect(csv).toMatch(/^From,Relation,To,Note\r?\npoems,copy of,poems copy,/);
    const { error, texts } = await readDrawing(page, (await takeFile(page, 'Lineage of poems copy as SVG')).bytes);
    expect([error, texts]).toEqual([0, expect.arrayContaining(['Lineage of poems copy', 'poems', 'poems copy'])]);
    await checkAccessibility(page);
    await shoot(page, 'adapter');
    const folder = await page.locator('td', { hasText: '/adapters/' }).textContent();
    rmSync(folder!.trim(), { recursive: true });
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByText('Its files were moved or deleted').waitFor();
  });

  it('compares two adapters', async () => {
    await page.getByLabel('Choose arithmetic').check();
    await page.getByLabel('Choose poems', { exact: true }).check();
    await page.getByRole('link', { name: 'Compare 2' }).click();
    await page.getByRole('heading', { name: 'Head maps as a difference' }).waitFor();
    await page.getByRole('img', { name: 'Difference of the head maps' }).waitFor();
    await checkAccessibility(page);
    await shoot(page, 'compare');
    expect(errors).toEqual([]);
  });
});
