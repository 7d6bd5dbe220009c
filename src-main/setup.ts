import fs from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from './engine/folders.ts';
import { setUpEngine } from './engine/install.ts';
import { ensureDefaultModel } from './models/default-model.ts';

/** How long a command rests after a part could not be had before it tries again, ms: behind a closed network each try takes seconds. */
const REST = 15 * 60_000;

/**
 * Sets up what lies outside node_modules. Each part that can't be had is one line; the others go on without it.
 * @param options.again try a part again that could not be had a while ago
 */
export async function setUpParts(log: (line: string) => void, { again = true } = {}): Promise<void> {
  const parts: [string, string, () => Promise<unknown>][] = [
    ['engine', 'The tensorflow engine is missing, wasm serves instead', () => setUpEngine(log)],
    ['model', 'The default model is missing, give a model of your own', () => ensureDefaultModel(log)],
  ];
  for (const [name, missing, setUpPart] of parts) {
    const failed = path.join(cacheFolder(), `not-reached-${name}`);
    const reason = again ? undefined : await recently(failed);
    if (reason !== undefined) log(`${missing}: ${reason}`);
    else
      await setUpPart().then(
        () => fs.rm(failed, { force: true }),
        async (error: Error) => {
          log(`${missing}: ${error.message}`);
          await fs.mkdir(cacheFolder(), { recursive: true });
          await fs.writeFile(failed, error.message);
        },
      );
  }
}

/** Why it could not be had, if that was a short while ago. */
async function recently(file: string): Promise<string | undefined> {
  const stat = await fs.stat(file).catch(() => undefined);
  return stat && Date.now() - stat.mtimeMs < REST ? fs.readFile(file, 'utf8') : undefined;
}
