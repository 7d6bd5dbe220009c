import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cookieName, tokensOf } from '../../../src-main/web/guard.ts';

/** The owner's token of every host under test. */
export const TOKEN = 'the-token-of-hosts-that-are-under-test-only';

/** As a browser keeps it once a link was opened. */
export const COOKIE = { name: cookieName(tokensOf(TOKEN)), value: TOKEN };

/** Before a host starts on `dataFolder`. */
export function keepToken(dataFolder: string): void {
  mkdirSync(dataFolder, { recursive: true });
  writeFileSync(join(dataFolder, 'web-token'), TOKEN, { mode: 0o600 });
}
