import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** Chromium drops a page's eleventh download within a second, without a word; nobody clicks so fast. */
const BETWEEN_DOWNLOADS_MS = 110;

/** What a click on the button named so downloads. */
export async function takeFile(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  await page.waitForTimeout(BETWEEN_DOWNLOADS_MS);
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button }).click()]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

/** What a browser makes of an SVG: whether it is one, its titles and texts, and how many rectangles it has. */
export function readDrawing(
  page: Page,
  svg: Buffer,
): Promise<{ error: number; titles: string[]; rects: number; texts: string[] }> {
  return page.evaluate(`(() => {
    const drawn = new DOMParser().parseFromString(${JSON.stringify(svg.toString())}, 'image/svg+xml');
    const texts = (name) => [...drawn.querySelectorAll(name)].map((one) => one.textContent);
    const count = (name) => drawn.querySelectorAll(name).length;
    return { error: count('parsererror'), titles: texts('title'), rects: count('rect'), texts: texts('text') };
  })()`);
}
