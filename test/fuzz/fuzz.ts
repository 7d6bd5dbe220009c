// `npm run fuzz -- [--inputs N] [--seed N] [--target NAME]`: changed inputs over every reader, each of which must open or be
// refused by a sentence within 2 s of processor time and 256 MiB. What goes wrong is named by target and seed, its input kept.
import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { writeInput } from './inputs.ts';
import { writeSeeds } from './seeds.ts';
import { TARGETS } from './targets.ts';

const { values } = parseArgs({ options: { inputs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' }, target: { type: 'string' } } }); // prettier-ignore
const OUT = path.resolve('out/fuzz');
/** An input that has shown nothing for so long, in ms of the clock, hangs: a busy machine may need more than 2 s for what takes less. */
const HANGS = 60_000;
const CHILD = path.join(import.meta.dirname, 'child.ts');

const seeds = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-seeds-'));
await writeSeeds(seeds);
const targets = values.target ? [values.target] : Object.keys(TARGETS);
const each = Math.ceil(Number(values.inputs) / targets.length);
const first = Number(values.seed);
let violations = 0;
for (const target of targets) {
  const before = violations;
  for (let seed = first; seed < first + each;) seed = await run(target, seed, first + each);
  console.log(`${target}: ${each} inputs, ${violations - before} violations`);
}
fs.rmSync(seeds, { recursive: true, force: true });
process.exit(violations ? 1 : 0);

/** Lets a child try inputs from `seed` on; returns where to go on, behind the one that brought it down. */
function run(target: string, seed: number, end: number): Promise<number> {
  const child = fork(CHILD, [seeds, target, String(seed), String(end)], { execArgv: ['--import', 'tsx', '--max-old-space-size=512'], silent: true }); // prettier-ignore
  let at = seed;
  let why = '';
  let timer: NodeJS.Timeout | undefined;
  child.stderr!.on('data', (data: Buffer) => (why = (why + data.toString()).slice(-500)));
  child.stdout!.resume();
  child.on('message', (message: { seed: number; wrong?: string }) => {
    at = message.seed;
    clearTimeout(timer);
    timer = setTimeout(() => child.kill('SIGKILL'), HANGS);
    if (message.wrong !== undefined) report(target, at, message.wrong);
  });
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(end);
      report(target, at, signal ? `ended by ${signal} (it hung, or memory ran out)` : `the process ended: ${why}`);
      resolve(at + 1);
    });
  });
}

function report(target: string, seed: number, wrong: string): void {
  violations++;
  const kept = path.join(OUT, `${target}-${seed}`);
  fs.mkdirSync(OUT, { recursive: true });
  writeInput(seeds, target, seed, kept);
  console.log(`${target}, seed ${seed}: ${wrong}\n  input: ${kept}`);
}
