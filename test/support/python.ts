import { execFile } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findPython } from '../../src-main/engine/python-wheel.ts';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { withLock } from '../../src-main/engine/lock.ts';

const execute = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const requirements = path.join(here, 'requirements.txt');
const stubs = path.join(here, 'cuda_stubs.py');

/** The Python of a virtual environment with the peers (PyTorch, transformers, PEFT, gguf), made once in the user's cache folder. */
export async function python(): Promise<string> {
  const digest = crypto
    .createHash('sha256')
    .update(fs.readFileSync(requirements))
    .update(fs.readFileSync(stubs))
    .digest('hex');
  const folder = path.join(cacheFolder(), `test-python-${digest.slice(0, 12)}`);
  const program = path.join(folder, 'bin', 'python');
  const done = path.join(folder, 'done');
  if (fs.existsSync(done)) return program;
  return withLock(`${folder}.lock`, async () => {
    if (fs.existsSync(done)) return program;
    await fsp.rm(folder, { recursive: true, force: true });
    await execute(await findPython(), ['-m', 'venv', folder]);
    await execute(program, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--disable-pip-version-check',
      '-r',
      requirements,
    ]);
    await execute(program, [stubs]);
    await fsp.writeFile(done, '');
    return program;
  });
}

/** A folder with the packages of another list, for one test's sake: the peers stay as they are. */
export async function packagesOf(list: string): Promise<string> {
  const file = path.join(here, list);
  const digest = crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');
  const folder = path.join(cacheFolder(), `test-packages-${digest.slice(0, 12)}`);
  return withLock(`${folder}.lock`, async () => {
    if (fs.existsSync(folder)) return folder;
    const aside = `${folder}.new`;
    await fsp.rm(aside, { recursive: true, force: true });
    await execute(await python(), ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '--target', aside, '-r', file]); // prettier-ignore
    await fsp.rename(aside, folder);
    return folder;
  });
}

/** Runs a script with that Python and returns what it printed. `packages`: a folder of more of them. */
export async function runPython(script: string, args: string[] = [], packages = ''): Promise<string> {
  const environment = {
    ...process.env,
    PYTHONPATH: packages,
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_VERBOSITY: 'error',
    PYTHONWARNINGS: 'ignore',
    // On models as small as tests have several threads mostly wait for each other, and a core is kept busy by that.
    OMP_NUM_THREADS: '1',
  };
  const { stdout } = await execute(await python(), [script, ...args], { env: environment, maxBuffer: 1 << 28 });
  return stdout;
}
