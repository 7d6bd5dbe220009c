import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll } from 'vitest';
import { scratchFolder } from '../../studio/support/studio.ts';
import { openBrowser, openPage, startHost } from './studio.ts';
import type { Host } from './studio.ts';

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
  const scratch = scratchFolder();
  let host: Host | undefined;
  let browser: Browser | undefined;
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    scratch.remove();
  });
  return async () => {
    const names = await write(scratch.folder);
    host = await startHost(scratch.folder);
    browser = await openBrowser();
    const opened = await openPage(browser, `${host.url}/#/library`);
    for (const name of names) await importAdapter(opened.page, join(scratch.folder, name));
    return opened;
  };
}
