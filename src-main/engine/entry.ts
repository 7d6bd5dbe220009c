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

/** Starts a thread of ours. Its source is made one text of JavaScript first: a loader of source in each takes 25 MB and a second or two. */
export async function startThread(entry: string): Promise<Worker> {
  if (!entry.endsWith('.ts')) return new Worker(entry, { resourceLimits });
  bundled[entry] ??= bundle(entry);
  return new Worker(await bundled[entry], { eval: true, resourceLimits, execArgv: [] });
}

/** by entry */
const bundled: Record<string, Promise<string>> = {};

async function bundle(entry: string): Promise<string> {
  const { build, stop } = await import('esbuild');
  const options = { bundle: true, platform: 'node', format: 'cjs', target: 'node20', write: false } as const;
  const { outputFiles } = await build({ ...options, entryPoints: [entry], logLevel: 'silent' });
  // Its process would stay as long as ours.
  await stop();
  return outputFiles[0]!.text;
}
