import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../studio/support/studio.ts';
import { keepRuns } from './support/library.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

/** Looked at by people; ignored by git. */
const SHOTS = fileURLToPath(new URL('../../out/screenshots/', import.meta.url));

interface View {
  name: string;
  hash: string;
  /** what shows that the view is complete */
  shown: string | RegExp;
  /** on the empty library, or on the one with runs */
  library: 'empty' | 'kept';
  prepare?: (page: Page) => Promise<void>;
}

const exampleAt = async (page: Page, step: number) => {
  await untilShown(page, 'Predicted memory');
  if (step < 2) await page.locator('.steps button').nth(step).click();
  if (step > 2) await page.getByRole('button', { name: 'Continue' }).click();
};
const openAll = (page: Page) =>
  page.locator('details').evaluateAll((all) => all.forEach((one) => one.setAttribute('open', '')));

const VIEWS: View[] = [
  { name: 'home-empty', hash: '#/', shown: '✓ ready', library: 'empty' },
  { name: 'home', hash: '#/', shown: '✓ ready', library: 'kept' },
  { name: 'wizard-model', hash: '#/new', shown: 'Qwen3-4B', library: 'kept' },
  {
    name: 'wizard-dataset',
    hash: '#/new?example=1',
    shown: 'As the model reads it',
    library: 'empty',
    prepare: async (page) => {
      await exampleAt(page, 1);
      await untilShown(page, 'As the model reads it');
      await openAll(page);
      await untilShown(page, 'For example');
    },
  },
  {
    name: 'wizard-budget',
    hash: '#/new?example=1',
    shown: 'Predicted memory',
    library: 'empty',
    prepare: async (page) => {
      await exampleAt(page, 2);
      await openAll(page);
    },
  },
  {
    name: 'wizard-review',
    hash: '#/new?example=1',
    shown: 'effilora train recipe.yaml',
    library: 'empty',
    prepare: async (page) => {
      await exampleAt(page, 3);
      await page.getByText('The recipe, for experts').click();
    },
  },
  { name: 'runs-empty', hash: '#/runs', shown: 'Nothing here yet', library: 'empty' },
  {
    name: 'runs',
    hash: '#/runs',
    shown: 'What differs in their recipes',
    library: 'kept',
    prepare: async (page) => {
      await page.getByRole('checkbox').first().waitFor();
      for (const box of await page.getByRole('checkbox').all()) await box.check();
    },
  },
  {
    name: 'run',
    hash: '#/runs/first-run',
    shown: 'Sample answers',
    library: 'kept',
    prepare: async (page) => {
      await page.getByRole('img', { name: /^Head map/ }).press('ArrowRight');
      await untilShown(page, /^Layer 0 · q/);
      await openAll(page);
    },
  },
  { name: 'run-failed', hash: '#/runs/broken-run', shown: 'Resume', library: 'kept' },
  { name: 'run-missing', hash: '#/runs/no-such-run', shown: 'There is no run', library: 'kept' },
  { name: 'settings', hash: '#/settings', shown: 'Engine and embedded model', library: 'kept' },
];

describe.skipIf(noBrowser)(`views (${noBrowser ?? 'in chromium'})`, () => {
  const [empty, kept] = [scratchFolder(), scratchFolder()];
  let browser: Browser;
  let hosts: Record<View['library'], Host>;

  beforeAll(async () => {
    mkdirSync(SHOTS, { recursive: true });
    writeFileSync(join(kept.folder, 'rows.jsonl'), '{"instruction":"Say hello.","output":"Hello."}\n');
    const shape = { layers: 4, heads: 3, steps: 60, headsEvery: 1 };
    keepRuns(kept.folder, [
      { id: 'first-run', status: 'finished', shape },
      { id: 'second-run', status: 'finished', shape: { ...shape, steps: 45 }, rank: 16 },
      { id: 'broken-run', status: 'failed', shape: { ...shape, steps: 30 }, message: 'The gradients are no numbers.' },
    ]);
    hosts = { empty: await startHost(empty.folder), kept: await startHost(kept.folder) };
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await hosts?.empty.close();
    await hosts?.kept.close();
    empty.remove();
    kept.remove();
  });

  it.each(VIEWS.flatMap((view) => [false, true].map((dark) => ({ ...view, dark, tone: dark ? 'dark' : 'light' }))))(
    '$name in $tone has nothing serious against it',
    async ({ name, hash, shown, library, prepare, dark, tone }) => {
      const { page, errors } = await openPage(browser, `${hosts[library].url}/${hash}`, { dark });
      await prepare?.(page);
      await untilShown(page, shown);
      await page.screenshot({ path: join(SHOTS, `${name}-${tone}.png`), fullPage: true });
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
      expect(serious).toEqual([]);
      expect(errors).toEqual([]);
      await page.context().close();
    },
  );
});
