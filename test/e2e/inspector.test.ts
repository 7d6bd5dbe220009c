import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import type { StudioClient } from './support/client.ts';
import { studioWithAdapters } from './support/adapters.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser } from './support/studio.ts';

describe.skipIf(noBrowser)(`inspector in a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  const open = studioWithAdapters(async (folder) => {
    const model = writeTinyChatModel(join(folder, 'tiny-chat'));
    await writeRandomAdapter(join(folder, 'arithmetic'), model, { strength: 6, seed: 12 });
    await writeRandomAdapter(join(folder, 'poems'), model, { seed: 2 });
    return ['poems', 'arithmetic'];
  });
  let page: Page;
  let errors: string[];
  let client: StudioClient;
  beforeAll(async () => {
    ({ page, errors, client } = await open());
    await page.getByRole('link', { name: 'Inspect heads' }).click();
    await page.getByRole('heading', { name: 'Inside “arithmetic”' }).waitFor();
  });

  it('asks for a dataset where nothing was held out, then measures the curve and tells how heads are cut', async () => {
    const card = page.getByRole('region', { name: 'Drop curve', exact: true });
    await card.getByRole('button', { name: 'Measure the curve' }).click();
    await card
      .getByRole('alert')
      .getByText(/Choose a dataset to measure on/)
      .waitFor();
    await card.getByLabel('Measured on').selectOption({ label: 'Example: train' });
    await card.getByLabel('Examples at most').fill('6');
    await card.getByRole('button', { name: 'Measure the curve' }).click();
    await card.getByText('6 examples of train.jsonl, two random orders.').waitFor();
    await card.getByText('Show loss against the share of heads left out as a table').click();
    await expect.poll(() => card.getByRole('row').count()).toBe(1 + 11 + 11);
    await card.getByRole('slider').fill('0.5');
    await card.getByText('Leave out 9 of 18 heads').waitFor();
    await expect.poll(() => card.locator('dl').textContent()).toMatch(/Loss expected\s*\d/);
    await checkAccessibility(page);
    await shoot(page, 'inspector');
  });

  it('shows what each head learned, and measures those at the top and one that is chosen by keyboard', async () => {
    const card = page.getByRole('region', { name: 'What did each head learn', exact: true });
    await card.getByRole('button', { name: 'Look at the heads' }).click();
    await card.getByText('Show what each head learned as a table').click();
    await expect.poll(() => card.getByRole('row').count()).toBe(1 + 18);
    const measured = card.getByRole('cell', { name: 'measured', exact: true });
    await expect.poll(() => measured.count()).toBe(3);
    const left = card.getByRole('button', { name: /^Measure the loss without layer/ });
    await expect.poll(() => left.count()).toBe(18 - 3);
    const dots = card.getByRole('img', { name: 'What did each head learn: 18 heads' });
    await dots.press('Home');
    const said = card.getByRole('status').filter({ hasText: 'of the router’s say' });
    await said.getByText('(an estimate)').waitFor();
    await dots.press('Enter');
    await said.getByText('(measured)').waitFor();
    await expect.poll(() => measured.count()).toBe(4);
    await checkAccessibility(page);
    await shoot(page, 'inspector-learned');
  });

  it('switches a head by keyboard and measures loss and a sample answer at once', async () => {
    const card = page.getByRole('region', { name: 'Head map', exact: true });
    await card.getByRole('button', { name: 'All on' }).click();
    const map = card.getByRole('img', { name: /^Head map: 0 of 18 heads off/ });
    await map.press('ArrowRight');
    await card.getByRole('button', { name: 'Measure as I switch' }).click();
    await card.getByText('Loss with 0 of 18 heads off').waitFor();
    await card.getByText(/6 examples of train.jsonl/).waitFor();
    await card.getByRole('img').press(' ');
    await card.getByText('Loss with 1 of 18 heads off').waitFor();
    await card.getByText(/\([+-]?\d[\d.e-]*\)/).waitFor();
    await expect.poll(async () => (await card.locator('.answer').textContent())!.length).toBeGreaterThan(3);
    await card.getByRole('button', { name: 'Switch layer 0', exact: true }).click();
    await card.getByText('Loss with 9 of 18 heads off').waitFor();
    await card.getByRole('button', { name: 'Stop measuring' }).click();
  });

  it('colours a text by the head that serves each token, and compares heads and rows', async () => {
    const router = page.getByRole('region', { name: 'Which head serves which token' });
    await router.getByLabel('Text').fill('hello there');
    await router.getByLabel('Layer').selectOption('1');
    await router.getByLabel('Place').selectOption('down_proj');
    await router.getByRole('button', { name: 'Colour the text' }).click();
    await router.getByText('Show the router').click();
    const cells = router.getByRole('row').nth(1).getByRole('cell');
    await expect.poll(() => cells.count()).toBe(1 + 3);
    const shares = await cells.allTextContents();
    const percents = shares.slice(1).map((share) => Number.parseInt(share, 10));
    expect(Math.abs(percents.reduce((sum, share) => sum + share, 0) - 100)).toBeLessThanOrEqual(2);
    const alike = page.getByRole('region', { name: 'How alike they are' });
    await alike.getByRole('button', { name: 'Compare heads' }).click();
    await alike.getByRole('region', { name: 'Cosines of the heads' }).getByText('1.00').first().waitFor();
    await alike.getByLabel('Other adapter').selectOption('poems');
    await alike.getByRole('button', { name: 'Compare rows' }).click();
    await alike.getByRole('region', { name: 'Cosines of the rows of A' }).getByText('row 1').first().waitFor();
    await checkAccessibility(page);
    await shoot(page, 'inspector-below');
  });

  it('saves a pruned adapter and shows what it comes from', async () => {
    const card = page.getByRole('region', { name: 'Drop curve', exact: true });
    await card.getByRole('slider').fill('0.33');
    await card.getByLabel('Name').fill('smaller');
    await card.getByRole('button', { name: 'Save as pruned adapter' }).click();
    await page.getByRole('heading', { name: 'smaller', exact: true }).waitFor();
    await page.getByText('pruned from', { exact: false }).first().waitFor();
    await expect.poll(() => page.locator('dl.facts').textContent()).toMatch(/Heads.*13 \/ 18/);
    expect(errors).toEqual([]);
  });

  it('says whether fewer heads would have done, and opens the fine-tune that trains fewer', async () => {
    await page.getByRole('link', { name: 'Library' }).click();
    await page.getByRole('link', { name: 'arithmetic', exact: true }).click();
    await page.getByRole('link', { name: 'Inspect heads' }).click();
    const card = page.getByRole('region', { name: 'What did each head learn', exact: true });
    const sentence = card.getByText(
      /least important heads the loss is .* (higher|lower): fewer heads would have done\.$/,
    );
    await sentence.waitFor();
    // Of 3 heads at each place stay so many as of all stay, rounded up.
    const spared = Number(/(\d+) %/.exec((await sentence.textContent())!)![1]) / 100;
    const fewer = Math.ceil(3 * (1 - spared) - 1e-9);
    await card.getByRole('button', { name: new RegExp(`^Train with ${fewer} heads? at each place$`) }).click();
    await page.waitForURL(/#\/new$/);
    await expect.poll(async () => (await client.drafts.get()).fixed['method.heads']).toBe(fewer);
    expect(await client.drafts.get()).toMatchObject({ name: 'arithmetic, smaller', lossOn: 'answer' });
    expect(errors).toEqual([]);
  });
});
