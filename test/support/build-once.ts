import { rmSync } from 'node:fs';
import { buildProcesses } from './processes.ts';

/** Before all tests: what their child processes are started from (start-built.ts). Returns what removes it. */
export default async function buildOnce() {
  const folder = await buildProcesses();
  process.env['EFFILORA_TEST_PROCESSES'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
