import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { connectClient } from '../e2e/support/client.ts';
import { startHost } from './host.ts';
import { processesOf, until } from './studio.ts';

/**
 * `npm run soak -- [steps] [engine]`: a run of 10,000 steps (default) with evaluations, sample answers and pauses, while 500 pages come
 * and go; how much the memory of each process grows between the first and the last fifth of its life, once it has started up.
 */
const [stepsText = '10000', engine = 'tensorflow'] = process.argv.slice(2);
const steps = Number(stepsText);
const PAGES = 500;
const SAMPLE_MS = 1_000;
/** Until a process has loaded what it works with: samples of it that don't count, and how many it needs besides. */
const [START_UP, ENOUGH] = [30, 60];

const host = await startHost('soak');
const { client, close } = await connectClient(host.url);
const { id } = await client.runs.create({ name: 'soak', recipe: host.recipe(steps, engine) });
/** resident bytes a second by process */
const resident = new Map<string, number[]>();
const sampling = setInterval(() => {
  for (const [name, processId] of Object.entries(processesOf(host.processId))) {
    const pages = /^\d+ (\d+)/.exec(read(`/proc/${processId}/statm`))?.[1];
    if (!pages) continue;
    const key = `${name} ${processId}`;
    resident.set(key, [...(resident.get(key) ?? []), Number(pages) * 4096]);
  }
}, SAMPLE_MS);
const pauseAt = [0.08, 0.15, 0.9].map((share) => Math.round(share * steps));
let pages = 0;
for (;;) {
  const { run } = await client.runs.get({ id });
  if (run.status === 'finished') break;
  if (run.status === 'failed' || run.status === 'interrupted')
    throw new Error(`The run is ${run.status}: ${run.message}`);
  if (run.status === 'paused') await client.runs.resume({ id });
  if (run.step >= (pauseAt[0] ?? Infinity) && run.status === 'running' && !run.asked) {
    pauseAt.shift();
    await client.runs.pause({ id });
    await until('it is paused', async () => (await client.runs.get({ id })).run.status === 'paused');
  }
  while (pages < (PAGES * run.step) / steps) await visit();
  await wait(100);
}
while (pages < PAGES) await visit();
clearInterval(sampling);
console.log(`${steps} steps on ${engine}, ${PAGES} pages came and went`);
for (const [name, bytes] of resident)
  if (bytes.length >= START_UP + ENOUGH) console.log(grown(name, bytes.slice(START_UP)));
  else console.log(`${name}: ${bytes.length} s, too short to tell`);
close();
await host.close();

/** A page that looks at the run from its beginning and goes in the middle of it. */
async function visit(): Promise<void> {
  pages += 1;
  const page = await connectClient(host.url);
  let events = 0;
  for await (const event of await page.client.runs.watch({ id })) if (event.kind === 'current' || ++events > 20) break;
  page.close();
}

function grown(name: string, bytes: number[]): string {
  const fifth = Math.floor(bytes.length / 5);
  const median = (some: number[]) => some.sort((a, b) => a - b)[Math.floor(some.length / 2)]! / 2 ** 20;
  const [first, last] = [median(bytes.slice(0, fifth)), median(bytes.slice(-fifth))];
  const growth = ((last / first - 1) * 100).toFixed(2);
  return `${name}: ${bytes.length} s, first fifth ${first.toFixed(1)} MiB, last fifth ${last.toFixed(1)} MiB, ${growth} %`;
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
