import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openPage, studioInBrowser } from './studio.ts';

/** Imports an adapter by its path, and waits for its page. */
export async function importAdapter(page: Page, folder: string): Promise<void> {
  await page.getByRole('link', { name: 'Library' }).click();
  await page.getByRole('button', { name: 'Import an adapter' }).click();
  await page.getByLabel('Path').fill(folder);
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: folder.split('/').at(-1)!, exact: true }).waitFor();
}

/**
 * A real host with adapters that were imported in the window, until the tests around it are over.
 * @param write writes the adapters into a folder of the host's, and names them; the last one's page is open then
 */
export function studioWithAdapters(write: (folder: string) => Promise<string[]>) {
  const studio = studioInBrowser();
  return async () => {
    const names = await write(studio.folder);
    const { host, browser, client } = await studio.open();
    const opened = await openPage(browser, `${host.url}/#/library`);
    for (const name of names) await importAdapter(opened.page, join(studio.folder, name));
    return { ...opened, client };
  };
}
