// `npm test`: sets up what is missing, runs every check, and ends with one line that sums them up.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root, setUp } from './setup.mjs';

await setUp({ tests: true });

const CHECKS = [
  ['Types', 'tsc', '--noEmit'],
  ['Types of the renderer', 'vue-tsc', '--noEmit', '-p', 'tsconfig.renderer.json'],
  ['Linter', 'eslint', '.'],
  ['Formatter', 'prettier', '--check', '--log-level=warn', '.'],
  ['Import directions', 'depcruise', '--config', '.dependency-cruiser.cjs', 'src-main', 'src-preload', 'src-renderer'],
];

/** Runs a program of node_modules/.bin with its output shown. Returns true if it ended well. */
function runs(program, ...args) {
  const result = spawnSync(path.join(root, 'node_modules', '.bin', program), args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  return result.status === 0;
}

const sum = { passed: 0, failed: 0, skipped: 0 };
for (const [name, ...command] of CHECKS) {
  const ok = runs(...command);
  console.log(`${ok ? 'passed' : 'FAILED'}: ${name}`);
  sum[ok ? 'passed' : 'failed']++;
}

const report = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-test-')), 'report.json');
const ok = runs(
  'vitest',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile=${report}`,
  ...process.argv.slice(2),
);
const results = JSON.parse(fs.readFileSync(report, 'utf8'));
sum.passed += results.numPassedTests;
sum.failed += results.numFailedTests;
sum.skipped += results.numPendingTests + results.numTodoTests;
// A file that fails to load, or an error outside a test, fails no test of its own.
if (!ok && results.numFailedTests === 0) sum.failed++;
for (const test of results.testResults.flatMap((file) => file.assertionResults))
  if (test.status === 'pending' || test.status === 'skipped') console.log(`skipped: ${test.fullName}`);

console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed ? 1 : 0;
