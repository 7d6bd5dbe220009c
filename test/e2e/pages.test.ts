import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAll, PAGES, studiosForPages } from './support/every-page.ts';
import { seriousFaults, shoot } from './support/look.ts';
import { noBrowser, openBrowser, openPage, untilShown } from './support/studio.ts';

/** A phone, a tablet, a small laptop, and a screen of 1440 px at 200 %. */
const WIDTHS = [390, 768, 1024, 720];
/** A slider is not to be shorter, pixels. */
const SLIDER = 200;
/** Up to this width the navigation lies at the window's bottom; up to that rows of lists are cards, and sliders as wide as what holds them, pixels. */
const [PHONE, CARDS] = [760, 1100];

/**
 * What of the page as it stands can't be reached at its width: a page wider than its window, controls that lie outside of it
 * or are cut by what holds them, sliders too short to be moved, or on a small screen beside something, a navigation or a list in
 * another width's form.
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
    if (control.type !== 'range') continue;
    if (own < ${SLIDER}) faults.push(name + ' is ' + Math.round(own) + ' px wide');
    const card = control.closest('.card, dialog');
    const { paddingLeft, paddingRight } = getComputedStyle(card);
    const room = card.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    if (width <= ${CARDS} && own < room - 1) faults.push(name + ' has ' + Math.round(own) + ' of ' + Math.round(room) + ' px');
    const words = document.createRange();
    words.selectNode(control.labels[0].firstChild);
    if (width <= ${CARDS} && words.getBoundingClientRect().bottom > control.getBoundingClientRect().top + 1) faults.push(name + ' is not below its label');
  }
  const bar = document.querySelector('nav[aria-label="Main"]').getBoundingClientRect();
  const isBelow = Math.abs(bar.bottom - innerHeight) <= 1 && bar.left === 0 && bar.right === width;
  if (isBelow !== width <= ${PHONE}) faults.push('the navigation ends at ' + bar.bottom + ' of ' + innerHeight + ' px');
  const cells = [...document.querySelectorAll('td[data-label]')].filter(shown);
  if (cells.some((cell) => (getComputedStyle(cell).display === 'table-cell') !== width > ${CARDS}))
    faults.push('a table is none, or one where cards have to be');
  for (const table of new Set(cells.map((cell) => cell.closest('table'))))
    if (width <= ${CARDS} && table.scrollWidth > table.parentElement.clientWidth + 1) faults.push('cards are wider than their list');
  return faults;
})()`;

/** Where which term stands beside a "?". */
const TERMS: Record<string, string[]> = {
  'wizard-budget': ['Head', 'Held out', 'Rank', 'Reducer', 'Router'],
  'wizard-review': ['Held out', 'Reducer'],
  run: ['Head', 'Held out', 'Reducer', 'Router'],
  library: ['Head', 'Held out'],
  adapter: ['Head', 'Held out', 'Rank'],
  inspector: ['Head', 'Router', 'What a head does'],
};

describe.skipIf(noBrowser)(`every page on every screen (${noBrowser ?? 'in chromium'})`, () => {
  let studios: Awaited<ReturnType<typeof studiosForPages>>;
  let browser: Browser;
  beforeAll(async () => {
    // Few rows in the tables of a run: axe takes its time for each.
    studios = await studiosForPages({ layers: 1, heads: 6, steps: 8, headsEvery: 1 });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await studios?.end();
  });

  it.each(PAGES)('$name: everything can be reached, and axe finds nothing serious', async (view) => {
    const { page, errors } = await studios.open(browser, view);
    await openAll(page);
    const found: string[] = [];
    for (const width of [1440, ...WIDTHS]) {
      await page.setViewportSize({ width, height: width === 720 ? 450 : 900 });
      // Charts follow their box a frame later.
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      const faults = await page.evaluate<string[]>(FAULTS);
      found.push(...faults.map((fault) => `${width} px: ${fault}`));
      await shoot(page, `${view.name}-${width}`);
      if (width !== 1440 && width !== 390) continue;
      found.push(...(await seriousFaults(page)).map((fault) => `${width} px, ${fault}`));
    }
    expect(found).toEqual([]);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  it.each(Object.entries(TERMS))('%s: a "?" explains each term in two sentences and a picture', async (name, terms) => {
    const { page } = await studios.open(
      browser,
      PAGES.find((view) => view.name === name)!,
    );
    await openAll(page);
    const asks = page.getByRole('button', { name: /^What is this: / });
    const found = new Map<string, Locator>();
    for (const ask of await asks.all()) found.set(/: (.+)\?/.exec((await ask.getAttribute('aria-label'))!)![1]!, ask);
    expect([...found.keys()].sort()).toEqual(terms);
    for (const [term, ask] of found) {
      await ask.focus();
      await page.keyboard.press('Enter');
      const told = page.getByRole('note').filter({ visible: true });
      await told.waitFor();
      const sentences = async () => (await told.innerText()).split(/(?<=[.?!])\s+/);
      await expect.poll(sentences).toEqual([`${term}.`, expect.any(String), expect.any(String)]);
      await expect.poll(() => told.locator('svg').locator('rect, path, circle').count()).toBeGreaterThan(2);
      const { x, y, width, height } = (await told.boundingBox())!;
      expect([x >= 0, y >= 0, x + width <= 1440, y + height <= 900]).toEqual([true, true, true, true]);
      if (ask === [...found.values()][0]) expect(await seriousFaults(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await told.waitFor({ state: 'hidden' });
      await expect.poll(() => ask.evaluate((one) => one === one.ownerDocument.activeElement)).toBe(true);
    }
    await page.context().close();
  });

  it('shows a head that is left out otherwise than one that is frozen', async () => {
    /** how opaque the inside of the first head's cell is, 0 to 255 */
    const inside = (page: Page) =>
      page.evaluate<number>(`(() => {
        const canvas = document.querySelector('.map canvas');
        const scale = canvas.width / canvas.getBoundingClientRect().width;
        return canvas.getContext('2d').getImageData(44 * scale, 30 * scale, 1, 1).data[3];
      })()`);
    const { page } = await openPage(browser, `${studios.host.url}/#/library/${studios.ids.pruned}/inspect`);
    await expect.poll(() => inside(page)).toBe(0);
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByRole('link', { name: /^a run with quite/ }).click();
    await page.getByRole('heading', { name: 'Head map' }).waitFor();
    await untilShown(page, /^frozen$/);
    await expect.poll(() => inside(page)).toBe(255);
    await page.context().close();
  });

  it('shows on a comparison what was left out of a pruned adapter', async () => {
    const { page } = await studios.open(
      browser,
      PAGES.find(({ name }) => name === 'compare')!,
    );
    await untilShown(page, 'Crossed out: 3 heads that are left out in one of them.');
    const map = page.getByRole('img', { name: 'Difference of the head maps' });
    await expect.poll(() => map.locator('path.cross').count()).toBe(3);
    await page.getByText('Show difference of the head maps as a table').click();
    const rows = page.getByRole('region', { name: 'Difference of the head maps as a table' }).locator('tbody tr');
    await expect.poll(() => rows.first().textContent()).toContain('left out in “arithmetic, cut”');
    await page.context().close();
  });
});
