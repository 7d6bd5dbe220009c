import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Browser, Locator } from 'playwright-core';
import { TINY_MODEL } from '../trainer/support.ts';
import type { StudioClient } from './support/client.ts';
import { checkAccessibility } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`numbers typed as in German (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  beforeAll(async () => {
    const [model, rows] = [join(studio.folder, 'tiny-llama'), join(studio.folder, 'rows.jsonl')];
    cpSync(TINY_MODEL, model, { recursive: true });
    writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    ({ host, browser, client } = await studio.open());
    const budget = { memoryBytes: 2 ** 31, seconds: null, fixed: {} };
    await client.drafts.set({
      step: 2,
      name: '',
      model,
      mix: [{ path: rows, weight: 1 }],
      lossOn: 'answer',
      ...budget,
    });
  });

  const type = async (field: Locator, text: string) => {
    await field.fill('');
    await field.pressSequentially(text);
    await field.blur();
  };

  it('takes them for what they are, or refuses them by name', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/new`, { locale: 'de-DE' });
    await page.getByText('Expert: fix any of these yourself').click();
    const field = (name: string | RegExp) => page.getByRole('spinbutton', { name });
    const [rate, steps, share] = [field('Learning rate').first(), field(/^Steps$/), field('Share of frozen heads')];
    const fixed = async (key: string) => (await client.drafts.get()).fixed[key];
    await type(rate, '0,0005');
    await expect.poll(() => fixed('training.learningRate')).toBe(0.0005);
    await type(steps, '1.000');
    await expect.poll(() => fixed('training.steps')).toBe(1000);
    await type(share, '37,5');
    await expect.poll(() => fixed('method.reducer.ratio')).toBe(0.375);
    for (const text of ['1.000,5', '0,5', '5x', '1,0,5']) {
      await type(steps, text);
      await page.getByText('Steps takes a whole number from 1 to 1.000.000.').waitFor();
      await expect.poll(() => fixed('training.steps')).toBeUndefined();
      await expect.poll(() => steps.inputValue()).toBe(text);
      await type(steps, '12');
      await expect.poll(() => fixed('training.steps')).toBe(12);
    }
    await page.reload();
    await page.getByText('Expert: fix any of these yourself').click();
    await expect.poll(() => rate.inputValue()).toBe('0,0005');
    await expect.poll(() => share.inputValue()).toBe('37,5');
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it('does so in single fields, too: what can’t be taken changes nothing, and says so', async () => {
    const { page, errors } = await openPage(browser, `${host.url}/#/playground`, { locale: 'de-DE' });
    await page.getByText('Sampling and system prompt').click();
    const temperature = page.getByRole('spinbutton', { name: 'Temperature', exact: true });
    const taken = () => temperature.getAttribute('aria-valuenow');
    await type(temperature, '0,7');
    await expect.poll(taken).toBe('0.7');
    for (const text of ['', '0,7x', '5,5', '-1']) {
      await type(temperature, text);
      await page.getByText('A number from 0 to 5, please.').waitFor();
      await expect.poll(() => temperature.getAttribute('aria-invalid')).toBe('true');
      await expect.poll(taken).toBe('0.7');
    }
    await checkAccessibility(page);
    await temperature.fill('0,9');
    await temperature.press('ArrowUp');
    await expect.poll(() => temperature.inputValue()).toBe('1');
    await temperature.press('ArrowDown');
    await expect.poll(() => temperature.inputValue()).toBe('0,9');
    await expect.poll(taken).toBe('0.9');
    await page.getByText('A number from 0 to 5, please.').waitFor({ state: 'detached' });
    const most = page.getByRole('spinbutton', { name: 'Tokens at most' });
    await type(most, '1.5');
    await page.getByText('A whole number from 1 to 8.192, please.').waitFor();
    await type(most, '1.024');
    await expect.poll(() => most.getAttribute('aria-valuenow')).toBe('1024');
    expect(errors).toEqual([]);
    await page.context().close();
  });
});
