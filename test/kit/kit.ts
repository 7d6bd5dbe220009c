// The kit's own program: runs its parts one after the other, each in a process of its own, and writes after each what is known.
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { MachineReport } from '../../src-preload/contract/index.ts';
import { endChild, runProgram } from './child.ts';
import type { Facts } from './facts.ts';
import type { KernelRow } from './kernels.ts';
import type { Limit } from './limits.ts';
import { withShape } from './model-by-shape.ts';
import { programAt } from './place.ts';
import { isWhole, writeReport, type Report } from './report.ts';
import { missingPeer, ourSteps, peerSteps, shapesFor } from './steps.ts';
import type { TestResult } from './test-file.ts';

/** So long a part may take, seconds. */
const PATIENCE = { facts: 120, doctor: 1800, tests: 900, kernels: 1800 };

const { out, small } = parseArgs({
  options: { out: { type: 'string', default: '.' }, small: { type: 'boolean', default: false } },
}).values;

const { version, commit, tests } = JSON.parse(readFileSync(programAt('package.json'), 'utf8')) as {
  version: string;
  commit?: string;
  tests: string[];
};
const begun = new Date();
const report: Report = {
  ...{ version, commit, begun: begun.toISOString(), small, seconds: 0 },
  ...{ tests: [], limits: [], kernels: [], steps: [], problems: [] },
};
const name = path.join(out, `report-${begun.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`);
// What engines keep of a machine, and what tests write, stays in the kit.
for (const [variable, folder] of Object.entries({ EFFILORA_CACHE: 'cache', TMPDIR: 'temporary' }))
  mkdirSync((process.env[variable] = path.resolve(out, 'unpacked', folder)), { recursive: true });

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    report.interrupted = true;
    endChild();
  });

function keep(): void {
  report.seconds = (Date.now() - begun.getTime()) / 1000;
  writeReport(name, report);
}

/** Does a part, unless it is to end, and keeps what came of it. */
async function part(what: string, work: () => Promise<void>): Promise<void> {
  if (report.interrupted) return;
  console.error(`[${Math.round((Date.now() - begun.getTime()) / 1000)} s] ${what}`);
  await work();
  keep();
}

/** One of the kit's programs. What went wrong becomes a sentence of the report. */
async function program<Line>(what: string, place: string, seconds: number, args: string[] = [], env = {}) {
  const { lines, problem } = await runProgram<Line>(process.execPath, [programAt(place), ...args], { seconds, env });
  if (problem !== undefined && !report.interrupted) report.problems.push(`${what}: ${problem}`);
  return lines;
}

await part('The GPU', async () => {
  [report.facts] = await program<Facts>('The GPU', 'test/kit/facts.js', PATIENCE.facts);
});
await part('effilora doctor', async () => {
  await withShape(async () => {
    [report.doctor] = await program<MachineReport>('effilora doctor', 'test/kit/doctor.js', PATIENCE.doctor);
  });
});
const { facts } = report;
if (facts) await measureGpu(facts);
keep();
console.error(`The report: ${name}.md and ${name}.json`);
process.exitCode = report.interrupted ? 130 : isWhole(report) ? 0 : 1;

async function measureGpu(gpu: Facts): Promise<void> {
  for (const file of tests)
    await part(file, async () => {
      const args = [programAt(file.replace(/ts$/, 'js'))];
      const env = { EFFILORA_TEST_DRIVER: 'here' };
      const results = await program<TestResult>(file, 'test/kit/test-file.js', PATIENCE.tests, args, env);
      report.tests.push({ file, results });
    });
  await part('The kernels', async () => {
    const args = small ? ['--small'] : [];
    const lines = await program<Limit | KernelRow>('The kernels', 'test/kit/kernels.js', PATIENCE.kernels, args);
    for (const line of lines)
      if ('kernel' in line) report.kernels.push(line);
      else report.limits.push(line);
  });
  const python = process.env.KIT_PYTHON ?? 'python3';
  await part('PyTorch and PEFT', async () => void (report.peerMissing = await missingPeer(python)));
  for (const shape of shapesFor(gpu, small))
    for (const precision of ['f32', 'bf16'] as const) {
      const what = `${shape.name}, ${shape.rows} x ${shape.length} tokens, ${precision}`;
      await part(what, async () => void report.steps.push(await ourSteps(shape, precision, gpu)));
      if (report.peerMissing === undefined)
        await part(`${what}, PyTorch`, async () => void report.steps.push(await peerSteps(shape, precision, python)));
    }
}
