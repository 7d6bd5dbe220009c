import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { _electron } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = electronBinary();
const built = existsSync(join(root, 'out', 'main', 'index.js'));

/** Where Electron's binary lies, if its download was possible. */
function electronBinary(): string | undefined {
  const folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  const named = join(folder, 'path.txt');
  if (!existsSync(named)) return undefined;
  const path = join(folder, 'dist', readFileSync(named, 'utf8'));
  return existsSync(path) ? path : undefined;
}

describe.skipIf(!binary || !built)('studio in Electron (needs its binary and `npm run build:electron`)', () => {
  it('opens sandboxed, serves the contract over a port, and stays on its page', async () => {
    const scratch = scratchFolder();
    const env = { ...process.env, EFFILORA_DATA: scratch.folder } as Record<string, string>;
    const app = await _electron.launch({
      executablePath: binary!,
      args: [root, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
      env,
    });
    try {
      const page = await app.firstWindow();
      await page.getByText('No runs yet').waitFor();
      await expect
        .poll(() => page.evaluate(() => typeof (globalThis as { require?: unknown }).require))
        .toBe('undefined');
      await page.evaluate(`void (location.href = 'https://example.com')`);
      // Not by a click: Playwright would wait for the navigation that was refused.
      await page.evaluate(`location.hash = '#/settings'`);
      await page.getByText(scratch.folder).first().waitFor();
      // Asked of a helper, which is a utility process.
      await page.getByRole('link', { name: 'Home' }).click();
      await page.getByText('✓ ready').first().waitFor();
      expect(page.url()).toMatch(/^effilora:/);
    } finally {
      await app.close();
      scratch.remove();
    }
  });
});
