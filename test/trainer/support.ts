import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

/** A random llama of 2 layers, 32 wide, 96 tokens, without a tokenizer (made by test/models/data/make_models.py). */
export const TINY_MODEL = fileURLToPath(new URL('../models/data/llama-tied', import.meta.url));

export const temporary = (name: string) => fs.mkdtempSync(path.join(os.tmpdir(), `effilora-${name}-`));

/** Pre-tokenized examples that have a pattern to learn: each token is the one before it plus 3. */
export function writeTokens(file: string, examples = 40): string {
  const lines = Array.from({ length: examples }, (_, k) => {
    const input_ids = Array.from({ length: 8 + (k % 9) }, (_, t) => (k * 7 + 3 * t) % 96);
    return JSON.stringify({ input_ids, labels: input_ids.map((id, t) => (t < 3 ? -100 : id)) });
  });
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Files of a small run: data and a recipe (as an object merged over a default one). */
export function smallRun(
  folder: string,
  { training = {}, method = {}, ...rest }: { training?: object; method?: object; [key: string]: unknown } = {},
): string {
  const recipe = path.join(folder, 'recipe-in.yaml');
  const dataset = writeTokens(path.join(folder, 'data.jsonl'));
  const value = {
    model: TINY_MODEL,
    dataset,
    method: { rank: 2, heads: 3, reducer: { ratio: 0.5, warmup: 4, interval: 3 }, ...method },
    training: {
      ...{
        steps: 20,
        batch: 4,
        sequenceLength: 32,
        learningRate: 1e-2,
        evalSplit: 8,
        evalEvery: 5,
        checkpointEvery: 6,
      },
      ...training,
    },
    engine: 'tensorflow',
    ...rest,
  };
  fs.writeFileSync(recipe, stringify(value));
  return recipe;
}

/** Lines of a telemetry file without what depends on the clock. */
export function withoutTime(file: string): object[] {
  return fs
    .readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const record = JSON.parse(line) as Record<string, unknown>;
      for (const key of ['tokensPerSecond', 'memory', 'secondsLeft']) delete record[key];
      return record;
    });
}

/** What a finished run leaves that must not depend on how it got there. */
export function resultOf(folder: string) {
  const file = (name: string) => path.join(folder, name);
  const { heads, metrics } = JSON.parse(fs.readFileSync(file('adapter.json'), 'utf8')) as {
    heads: object;
    metrics: Record<string, number>;
  };
  delete metrics.seconds;
  return {
    adapter: fs.readFileSync(file('adapter.safetensors')).toString('base64'),
    metrics: withoutTime(file('metrics.jsonl')),
    heads: withoutTime(file('heads.jsonl')),
    described: { heads, metrics },
  };
}
