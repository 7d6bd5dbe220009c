import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { lastChange } from '../last-change.ts';

/** What nobody wrote to for so long is left from a studio that ended in the middle, milliseconds. */
const BROKEN_AFTER_MS = 3_600_000;

/**
 * Removes what studios that ended in the middle had begun to write among the adapters. Whatever is whole stays, though no library
 * may name it: the library may have been put back from a backup.
 */
export async function clearBeginnings(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    const own = join(folder, name);
    // adapter.next: both files whole, before they take their places.
    const isWhole = ['adapter.json', 'adapter.next'].some((file) => existsSync(join(own, file)));
    if (isWhole && !name.endsWith('.partial')) continue;
    if (Date.now() - (await lastChange(own)) > BROKEN_AFTER_MS) await rm(own, { recursive: true, force: true });
  }
}
