import { setTimeout as wait } from 'node:timers/promises';
import { connectClient } from '../e2e/support/client.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import path from 'node:path';
import { startHost } from './host.ts';

/** `npm run load -- [minutes]`: 32 clients at the endpoint and 8 pages at the host for ten minutes (default); errors and latencies. */
const [minutes = '10'] = process.argv.slice(2);
const [CLIENTS, PAGES, TOKENS] = [32, 8, 16];

const host = await startHost('load');
const { client, close } = await connectClient(host.url);
const foreign = path.join(path.dirname(host.model), 'foreign');
await writeRandomAdapter(foreign, host.model);
await client.settings.set({ engine: 'cpu' });
const { id } = await client.adapters.import({ path: foreign, model: host.model });
const served = await client.serving.start({ ids: [id], port: 0 });
const run = await client.runs.create({ name: 'beside', recipe: host.recipe(100_000, 'cpu') });

const until = performance.now() + Number(minutes) * 60_000;
const answers: number[] = [];
const calls: number[] = [];
const errors: string[] = [];
const timed = async (into: number[], work: () => Promise<unknown>) => {
  const started = performance.now();
  await work().then(
    () => into.push(performance.now() - started),
    (error: Error) => errors.push(error.message),
  );
};

async function ask(n: number): Promise<void> {
  const model = served.models[n % 2]!.name;
  const headers = {
    'content-type': 'application/json',
    ...(served.token ? { authorization: `Bearer ${served.token}` } : {}),
  };
  const messages = [{ role: 'user', content: `Client ${n} asks.` }];
  const body = JSON.stringify({ model, messages, max_tokens: TOKENS, temperature: 0 });
  const response = await fetch(`${served.url}/chat/completions`, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const { usage } = (await response.json()) as { usage: { completion_tokens: number } };
  if (usage.completion_tokens !== TOKENS) throw new Error(`${usage.completion_tokens} tokens`);
}

async function look(): Promise<void> {
  const page = await connectClient(host.url);
  void (async () => {
    for await (const event of await page.client.runs.watch({ id: run.id })) void event;
  })().catch((error: Error) => performance.now() < until && errors.push(error.message));
  while (performance.now() < until) {
    await timed(calls, () => page.client.runs.list());
    await timed(calls, () => page.client.adapters.list({}));
    await wait(250);
  }
  page.close();
}

async function talk(n: number): Promise<void> {
  while (performance.now() < until) await timed(answers, () => ask(n));
}

await Promise.all([
  ...Array.from({ length: CLIENTS }, (_, n) => talk(n)),
  ...Array.from({ length: PAGES }, () => look()),
]);
console.log(`${minutes} minutes: ${CLIENTS} clients at the endpoint beside a training, ${PAGES} pages at the host`);
console.log(`answers of ${TOKENS} tokens: ${told(answers)}`);
console.log(`calls of the pages: ${told(calls)}`);
console.log(`errors: ${errors.length} ${[...new Set(errors)].slice(0, 5).join(' | ')}`);
await client.runs.end({ id: run.id }).catch(() => {});
close();
await host.close();
process.exit(errors.length === 0 ? 0 : 1);

function told(times: number[]): string {
  const sorted = times.sort((a, b) => a - b);
  const at = (share: number) =>
    `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN)} ms`;
  return `${sorted.length}, half within ${at(0.5)}, 95 % within ${at(0.95)}, 99 % within ${at(0.99)}, the slowest ${at(1)}`;
}
