// One file of tests in the kit, in a process of its own: `node test-file.js FILE`. Writes a line of JSON as each test ends.
import { pathToFileURL } from 'node:url';
import { startTests, type Task, type VitestRunner } from '@vitest/runner';
import { getNames } from '@vitest/runner/utils';

/** What became of a test; or, under its file's or group's name, of what surrounds tests where that failed. */
export interface TestResult {
  name: string;
  state: 'passed' | 'failed' | 'skipped';
  seconds: number;
  /** why it failed, or was skipped */
  reason?: string;
}

/** As in vitest.config.ts: what only hangs runs into. */
const PATIENCE_MS = 300_000;

const runner: VitestRunner = {
  config: {
    ...{ root: import.meta.dirname, setupFiles: [], name: undefined, passWithNoTests: false, allowOnly: false },
    ...{ sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' }, chaiConfig: undefined, maxConcurrency: 1 },
    ...{ testNamePattern: undefined, testTimeout: PATIENCE_MS, hookTimeout: PATIENCE_MS, retry: 0 },
    ...{ includeTaskLocation: false, tags: [], tagsFilter: undefined, strictTags: false },
  },
  importFile: (file) => import(pathToFileURL(file).href),
  onAfterRunTask: tell,
};

function tell(task: Task): void {
  const { state, duration = 0, errors } = task.result ?? { state: 'skip' };
  const note = task.result && 'note' in task.result ? (task.result.note as string | undefined) : undefined;
  const told: TestResult = {
    name: getNames(task).slice(1).join(' > ') || 'the file itself',
    state: state === 'pass' ? 'passed' : state === 'fail' ? 'failed' : 'skipped',
    seconds: duration / 1000,
    reason: (errors?.[0]?.message ?? note)?.split('\n')[0]!.slice(0, 500),
  };
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

/** Tests that never began, and files or groups whose own code failed. */
function tellRest(task: Task): void {
  if (task.type === 'test') {
    if (task.mode === 'skip' && !task.result?.startTime) tell(task);
    return;
  }
  if (task.result?.errors?.length) tell(task);
  task.tasks.forEach(tellRest);
}

const files = await startTests([process.argv[2]!], runner);
files.forEach(tellRest);
process.exit(0);
