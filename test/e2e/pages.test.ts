import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Draft } from '../../src-preload/contract/index.ts';
import { scratchFolder } from '../studio/support/studio.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { TINY_MODEL } from '../trainer/support.ts';
import { connectClient } from './support/client.ts';
import type { StudioClient } from './support/client.ts';
import { keepRuns } from './support/library.ts';
import { seriousFaults, shoot } from './support/look.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

/** A phone, a tablet, a small laptop, and a screen of 1440 px at 200 %. */
const WIDTHS = [390, 768, 1024, 720];
/** A finger's slider is not to be shorter, pixels. */
const SLIDER = 200;

/**
 * What of the page as it stands can't be reached at its width: a page wider than its window, controls that lie outside of it
 * or are cut by what holds them, and sliders too short to be moved.
 */
const FAULTS = `(() => {
  const width = document.documentElement.clientWidth;
  const faults = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push('the page is ' + wide + ' px wide');
  const shown = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 1;
  for (const control of document.querySelectorAll('button, a, input, select, textarea, summary')) {
    if (!shown(control) || control.matches('.skip, .visually-hidden, .visually-hidden *')) continue;
    const { left, right, width: own } = control.getBoundingClientRect();
    const name = control.tagName.toLowerCase() + ' "' + (control.ariaLabel ?? control.textContent ?? '').trim().slice(0, 40) + '"';
    if (left < -1 || right > width + 1) faults.push(name + ' lies outside');
    for (let holder = control.parentElement; holder; holder = holder.parentElement) {
      if (getComputedStyle(holder).overflowX === 'visible') continue;
      const edge = holder.getBoundingClientRect();
      if (right > edge.right + 1 || left < edge.left - 1) faults.push(name + ' is cut off');
    }
    if (control.type === 'range' && own < Math.min(${SLIDER}, width / 4)) faults.push(name + ' is ' + Math.round(own) + ' px wide');
  }
  return faults;
})()`;

interface View {
  name: string;
  hash: () => string;
  /** what shows that the view is complete */
  shown: string | RegExp;
  /** on a library with nothing in it */
  empty?: boolean;
  prepare?: (page: Page) => Promise<void>;
}

describe.skipIf(noBrowser)(`every page on every screen (${noBrowser ?? 'in chromium'})`, () => {
  const [scratch, bare] = [scratchFolder(), scratchFolder()];
  let host: Host;
  let bareHost: Host;
  let browser: Browser;
  let client: StudioClient;
  let close: () => void;
  let draft: Draft;
  let whole = '';
  let pruned = '';
  let table = '';
  beforeAll(async () => {
    const model = join(scratch.folder, 'tiny-llama');
    cpSync(TINY_MODEL, model, { recursive: true });
    const rows = join(scratch.folder, 'rows.jsonl');
    writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    const shape = { layers: 3, heads: 6, steps: 24, headsEvery: 1 };
    keepRuns(scratch.folder, [
      { id: 'a-run-with-quite-a-long-name-that-no-row-has-room-for', status: 'finished', shape },
      { id: 'broken-run', status: 'failed', shape, message: 'The gradients are no numbers.' },
      { id: 'second-run', status: 'finished', shape: { ...shape, steps: 20 }, rank: 16 },
    ]);
    await writeRandomAdapter(join(scratch.folder, 'arithmetic'), model, { seed: 1 });
    host = await startHost(scratch.folder);
    bareHost = await startHost(bare.folder);
    browser = await openBrowser();
    ({ client, close } = await connectClient(host.url));
    whole = (await client.adapters.import({ path: join(scratch.folder, 'arithmetic'), model })).id;
    const { heads } = await client.adapters.get({ id: whole });
    const gone = heads.slice(0, 3).map(({ name }) => name);
    pruned = (await client.adapters.prune({ id: whole, name: 'arithmetic, cut', heads: gone, renormalize: false })).id;
    const { id } = await client.datasets.add({ path: rows });
    table = (await client.datasets.own({ id })).id;
    const chat = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const budget = { memoryBytes: 2 ** 31, seconds: null, fixed: {} };
    const mix = [{ path: rows, weight: 1 }];
    draft = { step: 2, name: '', model: chat, mix, lossOn: 'answer', ...budget };
  });
  // Where the wizard is left, it is found again.
  beforeEach(() => client.drafts.set(draft));
  afterAll(async () => {
    close?.();
    await browser?.close();
    await host?.close();
    await bareHost?.close();
    scratch.remove();
    bare.remove();
  });

  const openAll = (page: Page) =>
    page.locator('details').evaluateAll((all) => all.forEach((one) => one.setAttribute('open', '')));
  const checkAll = async (page: Page) => {
    await page.getByRole('checkbox').first().waitFor();
    for (const box of await page.getByRole('checkbox').all()) await box.check();
  };
  const wizardAt = (step: number, shown: string) => async (page: Page) => {
    await untilShown(page, 'Predicted memory');
    if (step < 2) await page.locator('.steps button').nth(step).click();
    if (step > 2) await page.getByRole('button', { name: 'Continue' }).click();
    await untilShown(page, shown);
  };
  const PAGES: View[] = [
    { name: 'home-empty', hash: () => '#/', shown: '✓ ready', empty: true },
    { name: 'home', hash: () => '#/', shown: '✓ ready' },
    { name: 'wizard-model', hash: () => '#/new', shown: 'Base model', prepare: wizardAt(0, 'SmolLM2-135M-Instruct') },
    {
      name: 'wizard-dataset',
      hash: () => '#/new',
      shown: 'For example',
      prepare: async (page) => {
        await wizardAt(1, 'As the model reads it')(page);
        await openAll(page);
      },
    },
    { name: 'wizard-budget', hash: () => '#/new', shown: 'Predicted memory' },
    { name: 'wizard-review', hash: () => '#/new', shown: 'Name of the run', prepare: wizardAt(3, 'Name of the run') },
    { name: 'datasets', hash: () => '#/datasets', shown: 'A file of yours' },
    { name: 'dataset', hash: () => `#/datasets/${table}`, shown: 'What to look at' },
    { name: 'runs-empty', hash: () => '#/runs', shown: 'Nothing here yet', empty: true },
    { name: 'runs', hash: () => '#/runs', shown: 'What differs in their recipes', prepare: checkAll },
    {
      name: 'run',
      hash: () => '#/runs/a-run-with-quite-a-long-name-that-no-row-has-room-for',
      shown: /^Layer 0 · q/,
      prepare: (page) => page.getByRole('img', { name: /^Head map/ }).press('ArrowRight'),
    },
    { name: 'run-failed', hash: () => '#/runs/broken-run', shown: 'Resume' },
    { name: 'run-missing', hash: () => '#/runs/no-such-run', shown: 'There is no run' },
    { name: 'library', hash: () => '#/library', shown: 'arithmetic, cut' },
    { name: 'adapter', hash: () => `#/library/${pruned}`, shown: 'Where it comes from' },
    { name: 'inspector', hash: () => `#/library/${whole}/inspect`, shown: 'Drop curve' },
    { name: 'compare', hash: () => `#/library/compare?ids=${whole},${pruned}`, shown: 'Head maps as a difference' },
    { name: 'playground', hash: () => `#/playground?ids=${whole}`, shown: 'One prompt, answered side by side' },
    { name: 'evaluations', hash: () => '#/evaluations', shown: 'Several adapters on the same examples' },
    { name: 'settings', hash: () => '#/settings', shown: 'Engine and embedded model' },
  ];

  it.each(PAGES)(
    '$name: everything can be reached, and axe finds nothing serious',
    async ({ name, hash, shown, empty, prepare }) => {
      const url = `${(empty ? bareHost : host).url}/${hash()}`;
      const { page, errors } = await openPage(browser, url, { width: 1440 });
      await prepare?.(page);
      await untilShown(page, shown);
      await openAll(page);
      const found: string[] = [];
      for (const width of [1440, ...WIDTHS]) {
        await page.setViewportSize({ width, height: width === 720 ? 450 : 900 });
        // Charts follow their box a frame later.
        await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
        const faults = await page.evaluate<string[]>(FAULTS);
        found.push(...faults.map((fault) => `${width} px: ${fault}`));
        await shoot(page, `${name}-${width}`);
        if (width !== 1440 && width !== 390) continue;
        found.push(...(await seriousFaults(page)).map((fault) => `${width} px, ${fault}`));
      }
      expect(found).toEqual([]);
      expect(errors).toEqual([]);
      await page.context().close();
    },
  );

  it('shows a head that is left out otherwise than one that is frozen', async () => {
    /** how opaque the inside of the first head's cell is, 0 to 255 */
    const inside = (page: Page) =>
      page.evaluate<number>(`(() => {
        const canvas = document.querySelector('.map canvas');
        const scale = canvas.width / canvas.getBoundingClientRect().width;
        return canvas.getContext('2d').getImageData(44 * scale, 30 * scale, 1, 1).data[3];
      })()`);
    const { page } = await openPage(browser, `${host.url}/#/library/${pruned}/inspect`);
    await expect.poll(() => inside(page)).toBe(0);
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByRole('link', { name: /^a run with quite/ }).click();
    await page.getByRole('heading', { name: 'Head map' }).waitFor();
    await untilShown(page, /^frozen$/);
    await expect.poll(() => inside(page)).toBe(255);
    await page.context().close();
  });

  it('shows on a comparison what was left out of a pruned adapter', async () => {
    const { page } = await openPage(browser, `${host.url}/#/library/compare?ids=${whole},${pruned}`);
    await untilShown(page, 'Crossed out: 3 heads that are left out in one of them.');
    const map = page.getByRole('img', { name: 'Difference of the head maps' });
    await expect.poll(() => map.locator('path.cross').count()).toBe(3);
    await page.getByText('Show difference of the head maps as a table').click();
    const rows = page.getByRole('region', { name: 'Difference of the head maps as a table' }).locator('tbody tr');
    await expect.poll(() => rows.first().textContent()).toContain('left out in “arithmetic, cut”');
    await page.context().close();
  });
});
