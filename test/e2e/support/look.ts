import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { markLooks } from './looks.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** axe's rules about colours, the only ones that another theme can break. */
const COLOURS = ['color-contrast', 'link-in-text-block'];

/**
 * What axe finds on the page as it is. The contrast, most of axe's time, is measured of what looks like nothing before on this page
 * in the theme.
 */
async function violations(page: Page, theme: 'dark' | 'light', options: RunOptions): Promise<AxeResults['violations']> {
  const isThere = await page.evaluate<boolean>(`'axe' in window`);
  if (!isThere) await page.evaluate(AXE);
  await page.evaluate(markLooks(theme));
  const all = JSON.stringify({ ...options, resultTypes: ['violations'] });
  return page.evaluate(`
    axe.configure({ rules: [{ id: 'color-contrast', selector: '[data-look]' }] });
    axe.run(${all}).then(({ violations }) => violations)`);
}

/** Fails for every violation of WCAG 2.2 A and AA that axe finds on the page as it is. */
export async function checkAccessibility(page: Page): Promise<void> {
  const values = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];
  const found = await violations(page, 'light', { runOnly: { type: 'tag', values } });
  expect(found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`)).toEqual([]);
}

/** What axe finds serious or critical on the page in both themes; the second differs from the first in colours alone. */
export async function seriousFaults(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const theme of ['dark', 'light'] as const) {
    await inTheme(page, theme);
    const options = theme === 'light' ? {} : { runOnly: { type: 'rule' as const, values: COLOURS } };
    for (const { id, impact, nodes } of await violations(page, theme, options))
      if (impact === 'serious' || impact === 'critical')
        found.push(`${theme}: ${id}: ${nodes.map(({ html }) => html.slice(0, 140)).join(' | ')}`);
  }
  return found;
}

/** Puts the page into a theme, which its styles follow with the frame after. */
async function inTheme(page: Page, colorScheme: 'dark' | 'light'): Promise<void> {
  await page.emulateMedia({ colorScheme });
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
}

/** A picture of the whole page, light and dark, for people to look at, into the folder EFFILORA_PICTURES where one is named. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['EFFILORA_PICTURES'];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.evaluate('scrollTo(0, 0)');
  for (const colorScheme of ['dark', 'light'] as const) {
    await inTheme(page, colorScheme);
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: true });
  }
}
