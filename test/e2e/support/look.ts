import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** axe on the page as it is: in the page itself, which has no frames, and without the list of all that passed; twice as fast. */
const axe = (page: Page) => new AxeBuilder({ page }).setLegacyMode(true).options({ resultTypes: ['violations'] });

/** Fails for every violation of WCAG 2.2 A and AA that axe finds on the page as it is. */
export async function checkAccessibility(page: Page): Promise<void> {
  const { violations } = await axe(page).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`)).toEqual([]);
}

/** What axe finds serious or critical on the page in both themes; the second differs from the first in colours alone. */
export async function seriousFaults(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    const check = colorScheme === 'light' ? axe(page) : axe(page).withRules(['color-contrast', 'link-in-text-block']);
    for (const { id, impact, nodes } of (await check.analyze()).violations)
      if (impact === 'serious' || impact === 'critical')
        found.push(`${colorScheme}: ${id}: ${nodes.map(({ html }) => html.slice(0, 140)).join(' | ')}`);
  }
  return found;
}

/** A picture of the whole page, light and dark, for people to look at, into the folder EFFILORA_PICTURES where one is named. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['EFFILORA_PICTURES'];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.evaluate('scrollTo(0, 0)');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`), fullPage: true });
  }
}
