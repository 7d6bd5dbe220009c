import { join } from 'node:path';
import { vi } from 'vitest';

/** One of the processes that were built for all tests, by its name in a package. */
export const builtProcess = (name: string) => join(process.env['EFFILORA_TEST_PROCESSES']!, name);

// Before every file of tests: what it starts from sources runs in the built processes.
vi.mock(import('../../src-main/engine/entry.ts'), async (original) => ({
  ...(await original()),
  entryOf: (_caller, _source, built) => builtProcess(built),
}));
