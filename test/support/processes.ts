import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** By the names that a package gives them, which they look for beside themselves. */
const ENTRIES = {
  stage: 'src-main/studio/stage/process.ts',
  work: 'src-main/studio/work/process.ts',
  process: 'src-main/trainer/process.ts',
  probe: 'src-main/engine/devices/probe-process.ts',
  trial: 'src-main/studio/doctor/trial-process.ts',
  quickest: 'src-main/engine/quickest-process.ts',
  tokenize: 'src-main/data/prepared/thread.ts',
  host: 'test/e2e/support/host.ts',
  studio: 'test/torture/studio-process.ts',
  effilora: 'test/support/command-line.ts',
  install: 'test/engine/install-process.ts',
  product: 'test/engine/product-process.ts',
  'gpu-memory': 'test/engine/gpu-memory-process.ts',
};

/**
 * Builds the studio's processes, and those that tests put around them, into a folder of its own, as they lie in a package: started
 * from there each takes half of the processor's time that it takes from its source, and tests start hundreds of them. Returns the folder.
 */
export async function buildProcesses(): Promise<string> {
  mkdirSync(join(root, 'out'), { recursive: true });
  // As deep as a room of src-main: what lies beside that is found from here, too.
  const folder = mkdtempSync(join(root, 'out', 'processes-'));
  await build({
    ...{ absWorkingDir: root, entryPoints: ENTRIES, outdir: folder, logLevel: 'error' },
    ...{ bundle: true, splitting: true, packages: 'external', platform: 'node', format: 'esm', target: 'node20' },
  });
  for (const name of ['addon', 'stderr.cc'])
    cpSync(join(root, 'src-main/engine/tensorflow', name), join(folder, name), { recursive: true });
  return folder;
}
