import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** A process's or thread's module: its source beside the caller's source, or what was built of it beside the caller's built file. */
export function entryOf(caller: string, source: string, built: string): string {
  return fileURLToPath(new URL(caller.endsWith('.ts') ? source : built, caller));
}

/** What Node needs to be told to run an entry that is source. */
export function loaderOf(entry: string): string[] {
  return entry.endsWith('.ts') ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];
}
