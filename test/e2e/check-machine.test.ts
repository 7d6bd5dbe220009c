import type { Browser } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { noBrowser, openPage, studioInBrowser, type Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`the settings in a browser (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    ({ host, browser } = await studio.open());
  });

  it('check this machine: with what is done now, a cancel, a report to copy, and advice', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/settings`, {
      before: (opened) => opened.context().grantPermissions(['clipboard-read', 'clipboard-write']),
    });
    const card = page.getByRole('region', { name: 'Check this machine', exact: true });
    const begin = card.getByRole('button', { name: 'Check this machine' });
    await begin.click();
    await card.getByText('Trying tensorflow on').waitFor();
    await card.getByRole('progressbar').waitFor();
    await card.getByRole('button', { name: 'Cancel' }).click();
    await card.getByText('It was cancelled.').waitFor();

    await begin.click();
    const again = card.getByRole('button', { name: 'Check again' });
    await again.waitFor({ timeout: 280_000 });
    await card.getByText('Leave the engine on auto, which takes tensorflow').first().waitFor();
    const row = card.getByRole('row').filter({ hasText: 'tensorflow' });
    await expect.poll(() => row.innerText()).toContain('✓ passed');
    const tokensASecond = await row.getByRole('cell').nth(4).innerText();
    expect(parseFloat(tokensASecond)).toBeGreaterThan(0);
    await card.getByRole('button', { name: 'Copy the report' }).click();
    await card.getByText('The report is copied.').waitFor();
    const copied = await page.evaluate<string>('navigator.clipboard.readText()');
    for (const told of [
      'tensorflow on',
      'f32 product',
      `${tokensASecond} tokens/s`,
      'predicted',
      'Leave the engine on auto',
    ])
      expect(copied).toContain(told);
    expect(errors).toEqual([]);
  });
});
