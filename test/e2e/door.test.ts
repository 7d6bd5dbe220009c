import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { noBrowser, openBrowser } from './support/studio.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe.skipIf(noBrowser ?? (process.platform !== 'linux' && 'needs Linux'))(
  `the door of the studio in the browser (${noBrowser ?? 'in chromium'})`,
  () => {
    const scratch = scratchFolder();
    const opened = join(scratch.folder, 'opened');
    const data = join(scratch.folder, 'data');
    let browser: Browser;
    let end: () => Promise<unknown>;
    let printed: string;

    beforeAll(async () => {
      // In place of the desktop's: it keeps what it was started with, which everyone on the machine could have seen.
      const programs = join(scratch.folder, 'programs');
      mkdirSync(programs);
      const keep = `#!/bin/sh\nprintf '%s' "$*" > '${opened}.part'\nmv '${opened}.part' '${opened}'\n`;
      writeFileSync(join(programs, 'xdg-open'), keep, { mode: 0o755 });
      const studio = spawn(process.execPath, ['bin/effilora.mjs', 'studio', '--port', '0', '--data', data], {
        cwd: ROOT,
        env: { ...process.env, PATH: `${programs}:${process.env['PATH']}`, DISPLAY: ':99' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      end = () => (studio.kill('SIGTERM'), once(studio, 'exit'));
      for await (const line of createInterface(studio.stdout)) {
        const link = /open at (http\S+)/.exec(line)?.[1];
        if (link) {
          printed = link;
          break;
        }
      }
      studio.stdout.resume();
      const rules = ['evil.example', 'box.tunnel.example'].map((name) => `MAP ${name} 127.0.0.1`).join(',');
      browser = await openBrowser([`--host-resolver-rules=${rules}`]);
    });
    afterAll(async () => {
      await browser?.close();
      await end?.();
      expect(existsSync(join(data, 'open.html'))).toBe(false);
      scratch.remove();
    });

    it('opens the browser with the token, which neither arguments nor others’ files show', async () => {
      await expect.poll(() => existsSync(opened)).toBe(true);
      const address = readFileSync(opened, 'utf8');
      const token = new URL(printed).searchParams.get('token')!;
      expect(address).toMatch(/^file:\/\/.*\/open\.html$/);
      expect(address).not.toContain(token);
      const file = fileURLToPath(address);
      expect(statSync(file).mode & 0o077).toBe(0);
      expect(readFileSync(file, 'utf8')).toContain(token);
      const page = await (await browser.newContext()).newPage();
      await page.goto(address);
      await page.getByRole('link', { name: 'Runs', exact: true }).waitFor();
      // Into a cookie, out of the address and the history.
      expect(page.url()).toBe(`${new URL(printed).origin}/#/`);
      await page.reload();
      await page.getByRole('link', { name: 'Runs', exact: true }).waitFor();
      await page.getByText('✓ ready').first().waitFor();
      await page.context().close();
    });

    it('asks everyone else for the token, also under a name made to point here after the owner came in', async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      const { port, search } = new URL(printed);
      expect((await page.goto(`http://127.0.0.1:${port}/`))!.status()).toBe(401);
      await page.goto(printed);
      await page.getByRole('link', { name: 'Runs', exact: true }).waitFor();
      expect((await page.goto(`http://evil.example:${port}/`))!.status()).toBe(401);
      const answer = await page.evaluate(`new Promise((resolve) => {
        const socket = new WebSocket('ws://127.0.0.1:${port}/rpc');
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      })`);
      expect(answer).toBe('refused');
      // A tunnel's name, with the token: page, contract and all.
      await page.goto(`http://box.tunnel.example:${port}/${search}`);
      await page.getByRole('link', { name: 'Runs', exact: true }).waitFor();
      await page.getByText('✓ ready').first().waitFor();
      await context.close();
    });
  },
);
