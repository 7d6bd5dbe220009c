// npm run bench:window: how soon the page answers, in a real Chromium. First paint; from a change of the budget until the plan has
// settled; and of every button of every page that takes nothing away, the time from the click until a frame that differs was drawn.
// Names of pages as arguments choose among them. Limits: 1.5 s, 300 ms, 100 ms. To be run with nothing else on the machine.
import os from 'node:os';
import type { Browser, Locator, Page } from 'playwright-core';
import { openAll, PAGES, studiosForPages } from '../e2e/support/every-page.ts';
import { openBrowser, openPage } from '../e2e/support/studio.ts';
import buildOnce from '../support/build-once.ts';

const LIMITS = { paint: 1500, plan: 300, click: 100 };
const TRIES = 7;
/** What begins work that takes the processors: clicked when all else has been measured. */
const LAST = /primary/;
/** What takes something away that pages after it are of: not clicked. */
const TAKES_AWAY = /^(Archive|Delete|Remove|Take|Keep one|Stop)/;

/**
 * In the page: when it changed for the first time after the last click, and was drawn then, milliseconds. A file that is handed to the
 * browser is a change, too.
 */
const RECORDER = `(() => {
  const record = { start: undefined, drawn: undefined };
  const changed = () => {
    if (record.start === undefined || record.seen) return;
    record.seen = true;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => (record.drawn = performance.now() - record.start);
      channel.port2.postMessage(0);
    });
  };
  new MutationObserver(changed).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  for (const kind of ['toggle', 'focusin', 'hashchange']) addEventListener(kind, changed, true);
  const click = HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click = function () { if (this.download) changed(); click.call(this); };
  addEventListener('click', (event) => Object.assign(record, { start: event.timeStamp, seen: false, drawn: undefined }), true);
  globalThis.reaction = record;
})()`;

interface Reaction {
  page: string;
  button: string;
  /** undefined where nothing was seen to change within a second */
  milliseconds: number | undefined;
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const most = (values: number[]) => Math.max(...values);

/** First contentful paint of the start page, each time in a context of its own. */
async function paints(browser: Browser, url: string): Promise<number[]> {
  const found: number[] = [];
  for (let n = 0; n < TRIES; n += 1) {
    const { page } = await openPage(browser, url);
    await page.getByText('Recent runs').waitFor();
    found.push(await page.evaluate<number>(`performance.getEntriesByName('first-contentful-paint')[0].startTime`));
    await page.context().close();
  }
  return found;
}

/** From moving the memory slider until the plan for it is drawn, the pause the page waits for more movement among it. */
async function plans(page: Page): Promise<number[]> {
  const found: number[] = [];
  for (let n = 0; n < TRIES; n += 1)
    found.push(
      await page.evaluate<number>(`new Promise((done) => {
        const slider = document.querySelector('input[type=range]');
        const limit = [...document.querySelectorAll('.card p.number')].find((one) => one.textContent.includes('GiB'));
        const before = limit.textContent;
        const start = performance.now();
        slider.value = String(4 + ${n});
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        const look = () => (limit.textContent === before ? requestAnimationFrame(look) : done(performance.now() - start));
        look();
      })`),
    );
  return found;
}

/** What a button is called, without the name of what it is about. */
const nameOf = (button: Locator) =>
  button.evaluate((one) => {
    const { ariaLabel, textContent } = one as unknown as { ariaLabel: string | null; textContent: string };
    return (ariaLabel ?? textContent).trim().replace(/\s+/g, ' ').slice(0, 50);
  });

/** Clicks every button that can be seen, each kind once; a page that was left by it is opened again. */
async function reactions(open: () => Promise<Page>, name: string, last: boolean): Promise<Reaction[]> {
  const found: Reaction[] = [];
  const done = new Set<string>();
  let page = await open();
  for (;;) {
    const button = await next(page, done, last);
    if (!button) break;
    const before = page.url();
    await button.click();
    await page
      .waitForFunction('globalThis.reaction.drawn !== undefined', undefined, { timeout: 1000 })
      .catch(() => undefined);
    const milliseconds = await page.evaluate<number | undefined>('globalThis.reaction.drawn');
    found.push({ page: name, button: [...done].at(-1)!, milliseconds });
    await page.keyboard.press('Escape');
    if (page.url() === before && !last) continue;
    await page.context().close();
    page = await open();
  }
  await page.context().close();
  return found;
}

async function next(page: Page, done: Set<string>, last: boolean): Promise<Locator | undefined> {
  await openAll(page);
  for (const button of await page.locator('button:enabled:visible').all()) {
    const kinds = (await button.getAttribute('class')) ?? '';
    if (LAST.test(kinds) !== last || kinds.includes('danger')) continue;
    const name = await nameOf(button).catch(() => '');
    if (name === '' || done.has(name) || TAKES_AWAY.test(name)) continue;
    done.add(name);
    return button;
  }
  return undefined;
}

const removeBuilt = await buildOnce();
const studios = await studiosForPages({ layers: 3, heads: 6, steps: 24, headsEvery: 1 });
const browser = await openBrowser();
const chosen = PAGES.filter(({ name }) => process.argv.length < 3 || process.argv.includes(name));
try {
  const paint = await paints(browser, studios.host.url);
  const budget = await studios.open(
    browser,
    PAGES.find(({ name }) => name === 'wizard-budget')!,
  );
  const plan = await plans(budget.page);
  await budget.page.context().close();
  const all: Reaction[] = [];
  for (const last of [false, true])
    for (const view of chosen) {
      const open = async () => {
        const { page } = await studios.open(browser, view);
        await page.evaluate(RECORDER);
        return page;
      };
      all.push(...(await reactions(open, view.name, last)));
    }
  const clicks = all.flatMap(({ milliseconds }) => (milliseconds === undefined ? [] : [milliseconds]));
  console.log(
    `${os.cpus()[0]!.model}, ${os.cpus().length} threads, Chromium ${browser.version()}, Node ${process.version}`,
  );
  console.log('| what | median, ms | most, ms | limit, ms |\n| --- | ---: | ---: | ---: |');
  const row = (what: string, times: number[], limit: number) =>
    console.log(`| ${what} | ${median(times).toFixed(0)} | ${most(times).toFixed(0)} | ${limit} |`);
  row(`first paint, ${TRIES} times`, paint, LIMITS.paint);
  row(`plan settled, ${TRIES} times`, plan, LIMITS.plan);
  row(`reaction to a click, ${clicks.length} buttons`, clicks, LIMITS.click);
  for (const { page, button, milliseconds } of all)
    if (milliseconds === undefined) console.log(`nothing changed: ${page}, ${button}`);
    else if (milliseconds > LIMITS.click)
      console.log(`over the limit: ${page}, ${button}: ${milliseconds.toFixed(0)} ms`);
} finally {
  await browser.close();
  await studios.end();
  removeBuilt();
}
