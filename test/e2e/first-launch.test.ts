import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_MODEL, isPackagedModelThere } from '../../src-main/models/default-model.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const missing = noBrowser ?? (isPackagedModelThere(DEFAULT_MODEL) ? undefined : 'needs the default model (npm start)');

/** How many of the head map's pixels differ from its first one: a picture, not an empty field. */
const painted = (page: Page) =>
  page.getByRole('img', { name: /^Head map/ }).evaluate((canvas) => {
    const { width, height } = canvas as unknown as { width: number; height: number };
    const context = (canvas as unknown as { getContext(kind: string): unknown }).getContext('2d') as {
      getImageData(...area: number[]): { data: Uint8ClampedArray };
    };
    const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    return new Set(pixels).size;
  });

/** Types into fields of numbers by their labels, as a person leaves each. */
async function fillIn(page: Page, values: [label: string, value: string][]): Promise<void> {
  for (const [label, value] of values) {
    const field = page.getByRole('spinbutton', { name: label, exact: true });
    await field.fill(value);
    await field.blur();
  }
}

describe.skipIf(missing)(`first launch (${missing ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    ({ host, browser } = await studio.open());
  });

  it('leaves what is being typed in the plan alone where another plan comes meanwhile', async () => {
    const { page, errors } = await openPage(browser, host.url);
    await page.getByRole('link', { name: 'Try it with the example' }).click();
    await page.getByText('What it builds, and why').click();
    await page.getByText('Expert: fix any of these yourself').click();
    const batch = page.getByRole('spinbutton', { name: 'Examples at once', exact: true });
    const steps = await page.getByRole('spinbutton', { name: 'Steps', exact: true }).elementHandle();
    // Both at one go, so that no plan can come in between.
    await batch.evaluate((field, other) => {
      const type = (input: { value: string; dispatchEvent(event: Event): void }, text: string, told: string) => {
        input.value = text;
        input.dispatchEvent(new Event(told, { bubbles: true }));
      };
      type(other as never, '17', 'change');
      type(field as never, '3', 'input');
    }, steps);
    // The plan for 17 steps, asked for before and here now.
    await untilShown(page, /You set this yourself. Proposed was: \d+ steps of/);
    await expect.poll(() => batch.inputValue()).toBe('3');
    await batch.dispatchEvent('change');
    await untilShown(page, /You set this yourself. Proposed was: 8 examples/);
    expect(errors).toEqual([]);
    await page.getByRole('button', { name: 'Leave everything to the plan' }).click();
    await page.context().close();
  });

  it('leads from an empty library in three clicks to the example, and to a finished adapter', async () => {
    const { page, errors } = await openPage(browser, host.url);
    await page.getByRole('link', { name: 'Try it with the example' }).click();
    await untilShown(page, 'Predicted memory');
    // Not one of the clicks: a shorter run than the example's, for the test's sake.
    await page.getByText('Expert: fix any of these yourself').click();
    await fillIn(page, [
      ['Steps', '4'],
      ['Examples at once', '2'],
      ['Micro-batches a step', '1'],
      ['First selection after, steps', '2'],
      ['Steps between evaluations', '4'],
      ['Sample answers at each', '1'],
      ['Held out, a share below 1, or a number of examples', '8'],
    ]);
    await page.getByText('What it builds, and why').click();
    await untilShown(page, /You set this yourself. Proposed was: 8 examples/);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: 'Start training' }).click();
    await untilShown(page, '4 of 4 steps', 240_000);
    await untilShown(page, '✓Finished');

    await expect.poll(() => painted(page)).toBeGreaterThan(20);
    await untilShown(page, 'Sample answers');
    await untilShown(page, /^Expected$/);
    const run = join(studio.folder, 'runs', page.url().split('/').at(-1)!);
    const { heads } = JSON.parse(readFileSync(join(run, 'adapter.json'), 'utf8')) as { heads: object[] };
    expect(existsSync(join(run, 'adapter.safetensors'))).toBe(true);
    await page
      .getByRole('img', {
        name: new RegExp(`^Head map at step 4: [1-9]\\d* of ${Object.keys(heads).length} heads frozen`),
      })
      .waitFor();
    expect(errors).toEqual([]);
  }, 600_000);

  it('leads in as few clicks to the example with pictures, and to an answer about one before and after', async () => {
    const { page, errors } = await openPage(browser, host.url);
    await page.getByRole('link', { name: 'Try it with pictures' }).click();
    await untilShown(page, 'Predicted memory');
    await page.getByText('Expert: fix any of these yourself').click();
    await fillIn(page, [
      ['Steps', '2'],
      ['Examples at once', '2'],
      ['Micro-batches a step', '1'],
      ['Sample answers at each', '1'],
      ['Held out, a share below 1, or a number of examples', '8'],
    ]);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: 'Start training' }).click();
    await untilShown(page, '2 of 2 steps', 240_000);
    await untilShown(page, '✓Finished');
    await untilShown(page, 'Sample answers');
    const run = join(studio.folder, 'runs', page.url().split('/').at(-1)!);
    const lines = readFileSync(join(run, 'samples.jsonl'), 'utf8').trim().split('\n');
    const told = lines.map((line) => JSON.parse(line) as { step: number; pictures: string[] });
    expect([told.at(0)!.step, told.at(-1)!.step]).toEqual([0, 2]);
    expect(told.every(({ pictures }) => /^train-\d+\.webp$/.test(pictures[0]!))).toBe(true);
    // Tried once, it is not offered again.
    await page.getByRole('link', { name: 'Home', exact: true }).click();
    await untilShown(page, 'Recent runs');
    await expect.poll(() => page.getByRole('link', { name: 'Try it with pictures' }).count()).toBe(0);
    expect(errors).toEqual([]);
  }, 600_000);

  it('leads in as few clicks to drawing lessons, and to pictures painted before and after', async () => {
    const { page, errors } = await openPage(browser, host.url);
    await page.getByRole('link', { name: 'Teach it to draw' }).click();
    await untilShown(page, 'Predicted memory');
    await page.getByText('Expert: fix any of these yourself').click();
    await fillIn(page, [
      ['Steps', '2'],
      ['Examples at once', '2'],
      ['Steps of a painted picture', '2'],
      ['Sample answers at each', '1'],
    ]);
    await page.getByRole('button', { name: 'Continue' }).click();
    await untilShown(page, /Emoji 64 learns from/);
    await page.getByRole('button', { name: 'Start training' }).click();
    const grid = page.getByRole('region', { name: 'Pictures by prompt and step' });
    for (const step of ['Before training', 'Step 2'])
      await grid.getByRole('img', { name: new RegExp(`^a line drawing of .*, ${step}$`) }).waitFor();
    await untilShown(page, '✓Finished');
    const run = join(studio.folder, 'runs', page.url().split('/').at(-1)!);
    expect(existsSync(join(run, 'adapter.safetensors'))).toBe(true);
    await page.getByRole('link', { name: 'Home', exact: true }).click();
    await untilShown(page, 'Recent runs');
    await expect.poll(() => page.getByRole('link', { name: 'Teach it to draw' }).count()).toBe(0);
    expect(errors).toEqual([]);
  }, 600_000);
});
