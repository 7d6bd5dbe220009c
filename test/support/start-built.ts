import { vi } from 'vitest';
import { builtProcess } from './built.ts';

// Before every file of tests: what it starts from sources runs in the built processes.
vi.mock(import('../../src-main/engine/entry.ts'), async (original) => ({
  ...(await original()),
  entryOf: (_caller, _source, built) => builtProcess(built),
}));
