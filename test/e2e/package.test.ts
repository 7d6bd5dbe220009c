import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { scratchFolder } from '../studio/support/studio.ts';
import { smallRun } from '../trainer/support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Under the root, as what is built looks for its packages upwards; apart from the page that other tests use.
const out = join(root, 'out', 'package-test');
const main = join(out, 'main');

/** What a package carries, built by `electron-vite build` and run by plain Node: Electron itself isn't needed for it. */
describe('built main process', () => {
  const scratch = scratchFolder();
  beforeAll(async () => {
    const cli = join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
    await promisify(execFile)(process.execPath, [cli, 'build'], {
      cwd: root,
      env: { ...process.env, EFFILORA_OUT: out },
    });
  });
  afterAll(() => scratch.remove());

  it('trains: the trainer’s process runs from its built file', async () => {
    const recipe = smallRun(scratch.folder, { training: { steps: 3, warmupSteps: 0 } });
    const folder = join(scratch.folder, 'run');
    const trainer = fork(join(main, 'process.js'), { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    trainer.send({ kind: 'start', recipe, folder, resume: false });
    let last: unknown;
    trainer.on('message', (message) => (last = message));
    await once(trainer, 'exit');
    expect(last).toMatchObject({ kind: 'done', summary: { step: 3, reason: 'finished' } });
    expect(existsSync(join(folder, 'adapter.safetensors'))).toBe(true);
  });

  it('works: the helper process answers from its built file', async () => {
    const helper = fork(join(main, 'work.js'), { execArgv: [], serialization: 'advanced' });
    helper.send({ id: 1, job: 'engines', request: { refresh: false } });
    const [answer] = (await once(helper, 'message')) as [{ result: { name: string }[] }];
    expect(answer.result.map(({ name }) => name)).toEqual(expect.arrayContaining(['tensorflow', 'wasm', 'cpu']));
    helper.disconnect();
    await once(helper, 'exit');
  });

  it('carries what it needs: sources to compile beside the code, a preload of nothing but Electron', () => {
    for (const name of ['index.js', 'addon/graph.cc', 'stderr.cc']) expect(existsSync(join(main, name))).toBe(true);
    const preload = readFileSync(join(out, 'preload', 'index.cjs'), 'utf8');
    expect([...preload.matchAll(/require\(["']([^"']+)["']\)/g)].map(([, name]) => name)).toEqual(['electron']);
    const page = readFileSync(join(out, 'renderer', 'index.html'), 'utf8');
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bon\w+=/);
  });

  it('is packed hardened, for Linux, Windows and macOS', () => {
    const config = parse(readFileSync(join(root, 'electron-builder.yml'), 'utf8')) as Record<string, never>;
    expect(config).toMatchObject({
      linux: { target: ['AppImage', 'deb'] },
      win: { target: 'nsis' },
      mac: { target: 'dmg' },
      electronFuses: {
        enableNodeOptionsEnvironmentVariable: false,
        enableNodeCliInspectArguments: false,
        enableEmbeddedAsarIntegrityValidation: true,
        onlyLoadAppFromAsar: true,
        enableCookieEncryption: true,
      },
    });
    const { main: entry } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { main: string };
    expect(entry).toBe('out/main/index.js');
  });
});
