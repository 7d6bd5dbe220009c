import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll } from 'vitest';
import { scratchFolder } from '../../support/scratch.ts';
import { builtProcess } from '../../support/built.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { connectClient } from './client.ts';
import type { StudioClient } from './client.ts';
import { COOKIE } from './token.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** Why browser tests can't run here; undefined where they can. */
export const noBrowser = CHROMIUM === undefined ? 'needs chromium (Debian: apt-get install chromium)' : undefined;

export interface Host {
  url: string;
  child: ChildProcess;
  /** ends it as Ctrl-C would */
  close(): Promise<void>;
  kill(): Promise<void>;
}

/** The web host with the real trainer, in a process of its own. */
export async function startHost(dataFolder: string, port = 0, environment: NodeJS.ProcessEnv = {}): Promise<Host> {
  const child = fork(builtProcess('host.js'), [dataFolder, String(port), ROOT], {
    execArgv: [],
    env: { ...process.env, ...environment },
  });
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  const [{ url }] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`The web host ended with code ${code}`))),
  ])) as [{ url: string }];
  return { url, child, close: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}

export function openBrowser(args: string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox', ...args], timeout: PATIENCE_MS });
}

/** A browser, and a client beside it, of a real host on a folder of its own, until the tests around it are over. */
export function studioInBrowser() {
  const scratch = scratchFolder();
  let host: Host | undefined;
  let browser: Browser | undefined;
  let close: (() => void) | undefined;
  afterAll(async () => {
    close?.();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });
  return {
    folder: scratch.folder,
    async open(): Promise<{ host: Host; browser: Browser; client: StudioClient }> {
      host = await startHost(scratch.folder);
      browser = await openBrowser();
      const connected = await connectClient(host.url);
      close = connected.close;
      return { host, browser, client: connected.client };
    },
  };
}

/** The owner's page, which fails the test for any error in its console. */
export async function openPage(
  browser: Browser,
  url: string,
  options: { dark?: boolean; width?: number; locale?: string; before?: (page: Page) => Promise<unknown> } = {},
) {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1360, height: 900 },
    colorScheme: options.dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    locale: options.locale,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addCookies([{ ...COOKIE, url: new URL(url).origin, sameSite: 'Strict' }]);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await options.before?.(page);
  await page.goto(url);
  return { page, errors };
}

/** Waits until the page shows `text`. */
export async function untilShown(page: Page, text: string | RegExp, timeout = PATIENCE_MS): Promise<void> {
  await page.getByText(text).filter({ visible: true }).first().waitFor({ timeout });
}
