import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/** A process's or thread's module: its source beside the caller's source, or what was built of it beside the caller's built file. */
export function entryOf(caller: string, source: string, built: string): string {
  return fileURLToPath(new URL(caller.endsWith('.ts') ? source : built, caller));
}

/** What a process of Node's is told to run an entry that is source. */
export function loaderOf(entry: string): string[] {
  return entry.endsWith('.ts') ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];
}

/**
 * What a thread makes and throws away is collected at every so many MB: left alone it grows to several times that. What has lived
 * longer is collected when it has doubled; where 1 GB or more is allowed, V8 waits until it is four times as much.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 1000 };

/** Starts a thread of ours. */
export function startThread(entry: string, workerData: unknown): Worker {
  if (!entry.endsWith('.ts')) return new Worker(entry, { workerData, resourceLimits });
  const source = entryOf(import.meta.url, './source-thread.mjs', './source-thread.mjs');
  return new Worker(source, { workerData, resourceLimits, execArgv: [], argv: [pathToFileURL(entry).href] });
}
