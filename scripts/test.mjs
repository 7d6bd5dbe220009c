// `npm test`: sets up what is missing, runs every check, and ends with one line that sums them up.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root, setUp } from './setup.mjs';

const CHECKS = [
  ['Types', 'tsc', '--noEmit'],
  ['Types of the renderer', 'vue-tsc', '--noEmit', '-p', 'tsconfig.renderer.json'],
  ['Linter', 'eslint', '.'],
  ['Formatter', 'prettier', '--check', '--log-level=warn', '.'],
  ['Import directions', 'depcruise', '--config', '.dependency-cruiser.cjs', 'src-main', 'src-preload', 'src-renderer'],
];

const bin = (program) => path.join(root, 'node_modules', '.bin', program);
const options = { cwd: root, shell: process.platform === 'win32' };

/** Runs a program of node_modules/.bin with its output kept. Returns if it ended well, and what it wrote. */
function check(program, ...args) {
  const child = spawn(bin(program), args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ ok: false, output: `${error.message}\n` }));
    child.once('close', (code) => resolve({ ok: code === 0, output }));
  });
}

const sum = { passed: 0, failed: 0, skipped: 0 };
const checks = [];
// All at once, as each of them keeps one core busy, and while the engine and the model are fetched.
const startChecks = () => checks.push(...CHECKS.map(([name, ...command]) => [name, check(...command)]));
await setUp({ tests: true, withPackages: startChecks });
for (const [name, done] of checks) {
  const { ok, output } = await done;
  process.stdout.write(output);
  console.log(`${ok ? 'passed' : 'FAILED'}: ${name}`);
  sum[ok ? 'passed' : 'failed']++;
}

const report = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-test-')), 'report.json');
const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`];
const vitest = spawnSync(bin('vitest'), ['run', ...reporters, ...process.argv.slice(2)], {
  ...options,
  stdio: 'inherit',
});
const results = JSON.parse(fs.readFileSync(report, 'utf8'));
sum.passed += results.numPassedTests;
sum.failed += results.numFailedTests;
sum.skipped += results.numPendingTests + results.numTodoTests;
// A file that fails to load, or an error outside a test, fails no test of its own.
if (vitest.status !== 0 && results.numFailedTests === 0) sum.failed++;
for (const test of results.testResults.flatMap((file) => file.assertionResults))
  if (test.status === 'pending' || test.status === 'skipped') console.log(`skipped: ${test.fullName}`);

console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed ? 1 : 0;
