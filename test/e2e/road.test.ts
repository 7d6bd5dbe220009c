import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { supportCells, writeWorkbook } from './support/spreadsheet.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const MOST_CLICKS = 10;
/** What a support lead would have to look up. */
const EXPERT = /\b(rank|alpha|logits?|tokens?|epochs?|sites?)\b/i;

/** How a person goes on: by mouse or by keyboard. */
interface Way {
  /** brings the spreadsheet to the page of datasets */
  bring(page: Page, file: string): Promise<void>;
  /** chooses a button, a link or a radio button */
  take(page: Page, one: Locator): Promise<void>;
}

describe.skipIf(noBrowser)(`from a spreadsheet to a chat (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let file: string;
  beforeAll(async () => {
    file = join(studio.folder, 'Kundenfragen März.xlsx');
    await writeWorkbook(file, supportCells());
    ({ host, browser, client } = await studio.open());
    await client.models.add({ path: writeTinyChatModel(join(studio.folder, 'tiny-chat')) });
  });

  /** What is shown above the folds, and that nothing has gone wrong. */
  async function look(page: Page, isThere: string | RegExp): Promise<void> {
    await untilShown(page, isThere);
    // What a person sees: nothing of what is folded.
    const lines = async () => (await page.locator('body').innerText()).split('\n');
    await expect.poll(async () => (await lines()).filter((line) => EXPERT.test(line))).toEqual([]);
    await expect.poll(() => page.locator('.error').allInnerTexts()).toEqual([]);
  }

  /** The whole road. Returns how often something was chosen. */
  async function walk(way: Way): Promise<number> {
    let taken = 0;
    const { page, errors } = await openPage(browser, `${host.url}/`);
    const button = (name: string | RegExp) => page.getByRole('button', { name });
    const take = async (one: Locator) => {
      taken += 1;
      await way.take(page, one);
    };
    await look(page, 'Teach a model something');
    await take(page.getByRole('link', { name: 'Datasets' }));
    await look(page, 'Upload from this device');
    await way.bring(page, file);
    await look(page, 'What the model learns from it');
    await expect.poll(() => page.getByLabel('Which column is the question?').inputValue()).toBe('Frage der Kundin');
    await untilShown(page, /samstags um zehn/);
    await take(button('Fine-tune with it'));
    await look(page, /Speaks English/);
    await take(page.getByRole('radio', { name: /^tiny-chat/ }));
    await take(button('Continue'));
    await look(page, 'As the model reads it');
    await take(button('Continue'));
    await look(page, 'How thoroughly should it learn?');
    await expect.poll(() => page.getByRole('radio', { name: /^Balanced/ }).isChecked()).toBe(true);
    await take(button('Continue'));
    await look(page, 'What will happen');
    await look(page, '10 of 62 are held out');
    await take(button('Start training'));
    await look(page, 'Held-out loss');
    await page.getByRole('link', { name: 'Chat', exact: true }).waitFor();
    await look(page, /^Held-out loss \d+\.\d\d to \d+\.\d\d/);
    await take(page.getByRole('link', { name: 'Chat', exact: true }));
    await look(page, 'Conversation');
    const prompt = page.getByPlaceholder('Ask something');
    await prompt.focus();
    await page.keyboard.type('Wann öffnet die Filiale 99?');
    await take(button('Send'));
    await expect.poll(() => button('Regenerate').isEnabled()).toBe(true);
    await look(page, 'Wann öffnet die Filiale 99?');
    expect(errors).toEqual([]);
    await page.context().close();
    return taken;
  }

  it('takes at most ten clicks, and answers better than before', async () => {
    const clicks = await walk({
      bring: (page, path) => dragOnto(page.getByRole('heading', { name: 'Datasets' }), [path]),
      take: async (_, one) => one.click(),
    });
    expect(clicks).toBeLessThanOrEqual(MOST_CLICKS);
    const [run] = (await client.runs.list()).runs;
    const start = JSON.parse(readFileSync(join(run!.folder, 'start.json'), 'utf8')) as { evalLoss: number };
    expect(run!.evalLoss).toBeLessThan(start.evalLoss);
  });

  it('ends in a report that has the card of what came of it', async () => {
    const [run] = (await client.runs.list()).runs;
    const { page } = await openPage(browser, `${host.url}/#/runs/${run!.id}`);
    const [report] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Report' }).click(),
    ]);
    const text = readFileSync(await report.path(), 'utf8');
    const card = /<h2>Model card<\/h2>(.*?)<h2>/s.exec(text)?.[1];
    // The very file that it learned from.
    expect(card).toContain(`SHA-256 ${createHash('sha256').update(readFileSync(file)).digest('hex')}`);
    expect(card).toContain(run!.model);
    await page.context().close();
  });

  it('is walked by keyboard alone', async () => {
    await walk({
      bring: async (page, path) => {
        const chooser = page.waitForEvent('filechooser');
        await tabTo(page, page.getByLabel('Upload from this device'));
        await page.keyboard.press('Space');
        await (await chooser).setFiles(path);
      },
      take: async (page, one) => {
        await one.waitFor();
        await expect.poll(() => one.isEnabled()).toBe(true);
        if ((await one.getAttribute('type')) !== 'radio') {
          await tabTo(page, one);
          return page.keyboard.press('Enter');
        }
        // Of radio buttons one is got to by Tab, the others from there.
        await tabTo(page, page.getByRole('radio').first());
        for (let presses = 0; !(await one.isChecked()); presses += 1) {
          if (presses > 50) throw new Error(`the keyboard never gets to ${one}`);
          await page.keyboard.press(presses === 0 ? 'Space' : 'ArrowDown');
        }
      },
    });
  });
});

/** Goes on with Tab until it is at `target`. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  const isThere = () => target.evaluate((one) => one === one.ownerDocument.activeElement);
  for (let tabs = 0; !(await isThere()); tabs += 1) {
    if (tabs > 150) throw new Error(`the keyboard never gets to ${target}`);
    await page.keyboard.press('Tab');
  }
}
