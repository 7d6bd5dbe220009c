import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createPackage, extractAll } from '@electron/asar';
import { FuseV1Options, getCurrentFuseWire } from '@electron/fuses';
import { build, Platform } from 'electron-builder';
import type { Configuration } from 'electron-builder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { scratchFolder } from '../support/scratch.ts';
import { smallRun } from '../trainer/support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const config = parse(readFileSync(join(root, 'electron-builder.yml'), 'utf8')) as Configuration;
/** Electron's fuses as they have to be in what is handed out. */
const FUSES = {
  RunAsNode: false,
  EnableNodeOptionsEnvironmentVariable: false,
  EnableNodeCliInspectArguments: false,
  EnableEmbeddedAsarIntegrityValidation: true,
  OnlyLoadAppFromAsar: true,
  EnableCookieEncryption: true,
  GrantFileProtocolExtraPrivileges: false,
};
// Under the root, as what is built looks for its packages upwards; apart from the page that other tests use.
const out = join(root, 'out', 'package-test');
const main = join(out, 'main');

/** A run of three steps by the trainer's process in `folder`. */
async function trains(folder: string, run: string): Promise<void> {
  mkdirSync(run);
  const recipe = smallRun(run, { training: { steps: 3, warmupSteps: 0 } });
  const trainer = fork(join(folder, 'process.js'), { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  trainer.send({ kind: 'start', recipe, folder: join(run, 'run'), resume: false });
  let last: unknown;
  trainer.on('message', (message) => (last = message));
  await once(trainer, 'close');
  expect(last).toMatchObject({ kind: 'done', summary: { step: 3, reason: 'finished' } });
  expect(existsSync(join(run, 'run', 'adapter.safetensors'))).toBe(true);
}

/** What electron-builder takes for Electron's own files: no more of them than it looks into. */
async function standInElectron(folder: string): Promise<string> {
  mkdirSync(join(folder, 'resources'), { recursive: true });
  mkdirSync(join(folder, 'empty'));
  await createPackage(join(folder, 'empty'), join(folder, 'resources', 'default_app.asar'));
  // Where the fuses lie in the real one: sentinel, version, count, a state each (github.com/electron/fuses).
  const fuses = Buffer.concat([
    Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'),
    Buffer.from([1, 9]),
    Buffer.from('101100101'),
  ]);
  writeFileSync(join(folder, 'electron'), fuses, { mode: 0o755 });
  return folder;
}

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

  it('works: the helper process answers from its built file', async () => {
    const helper = fork(join(main, 'work.js'), { execArgv: [], serialization: 'advanced' });
    // Both may come at once.
    const said: unknown[] = [];
    helper.on('message', (message) => said.push(message));
    helper.send({ id: 1, job: 'engines', request: { refresh: false } });
    // It says that it begins, then what came of it.
    await expect.poll(() => said).toHaveLength(2);
    const [begun, answer] = said as [unknown, { result: { name: string }[] }];
    expect(begun).toEqual({ id: 1, begun: true });
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

  it('is packed for Linux, Windows and macOS', () =>
    expect(config).toMatchObject({
      linux: { target: 'AppImage' },
      win: { target: 'nsis' },
      mac: { target: 'dmg' },
    }));

  it('is packed whole and hardened: in a folder apart it trains with the packages it carries, and its fuses are set', async () => {
    const electronDist = await standInElectron(join(scratch.folder, 'electron'));
    const output = join(scratch.folder, 'dist');
    const files = [
      { from: relative(root, out), to: 'out' },
      ...(config.files as string[]).filter((one) => !one.includes('out/')),
    ];
    const directories = { ...config.directories, output };
    await build({
      projectDir: root,
      targets: Platform.LINUX.createTarget('dir'),
      config: { ...config, files, directories, electronDist },
    });
    const packed = join(output, 'linux-unpacked');
    const app = join(scratch.folder, 'app');
    extractAll(join(packed, 'resources', 'app.asar'), app);
    await trains(join(app, 'out', 'main'), join(scratch.folder, 'packed'));
    const { main: entry } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8')) as { main: string };
    expect(existsSync(join(app, entry))).toBe(true);
    const fuses = await getCurrentFuseWire(join(packed, 'effilora-studio'));
    for (const [name, isOn] of Object.entries(FUSES)) {
      const state = String.fromCharCode(fuses[FuseV1Options[name as keyof typeof FUSES]]!);
      expect([name, state]).toEqual([name, isOn ? '1' : '0']);
    }
  });
});
