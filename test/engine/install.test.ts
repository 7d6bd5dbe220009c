import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { addonPath, buildAddon } from '../../src-main/engine/tensorflow/addon-build.ts';
import { expectedInstallation, isInstalled, type Installation } from '../../src-main/engine/tensorflow/install.ts';
import { builtProcess } from '../support/built.ts';

/** Runs install-process.ts or product-process.ts. */
const run = (name: 'install' | 'product', environment: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, [builtProcess(`${name}.js`)], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });

describe('a process that computes with the tensorflow engine', () => {
  it('prints the product and nothing else, on either stream', () => {
    const result = run('product');
    expect({ stdout: result.stdout, stderr: result.stderr }).toEqual({ stdout: '11\n', stderr: '' });
  });

  // Numbers from 128 on take two bytes in the session's configuration.
  it.each([1, 127, 128, 300])('computes on %d threads', (threads) => {
    expect(run('product', { OMP_NUM_THREADS: String(threads) })).toMatchObject({ stdout: '11\n', stderr: '' });
  });

  it('shows TensorFlow’s own log to whoever asks for it', () => {
    const { stdout, stderr } = run('product', { TF_CPP_MIN_LOG_LEVEL: '0' });
    expect(stdout).toBe('11\n');
    expect(stderr).toMatch(/oneDNN|cpu_feature_guard/);
  });
});

describe('an installation of its own', () => {
  let cache: string;
  let here: Installation;
  const installation = () => path.join(cache, path.relative(cacheFolder(), here.folder));

  // The real libraries, linked instead of fetched again.
  beforeAll(async () => {
    here = await expectedInstallation();
    cache = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-cache-'));
    fs.mkdirSync(path.dirname(installation()), { recursive: true });
    execFileSync('cp', ['-rl', here.folder, installation()]);
  });
  afterAll(() => fs.rmSync(cache, { recursive: true }));

  const withCache = (environment: NodeJS.ProcessEnv = {}) => run('install', { EFFILORA_CACHE: cache, ...environment });

  it('is left alone when it is whole', () => {
    expect(withCache().stdout).toBe('');
  });

  it('is not taken for whole when a file is cut off, changed or missing', async () => {
    const place = { ...here, folder: installation() };
    expect(await isInstalled(place, true)).toBe(true);
    const file = path.join(installation(), 'stderr.node');
    const bytes = fs.readFileSync(file);
    fs.rmSync(file);
    expect(await isInstalled(place)).toBe(false);
    fs.writeFileSync(file, bytes.subarray(0, 100));
    expect(await isInstalled(place)).toBe(false);
    const changed = Buffer.from(bytes);
    changed[changed.length >> 1]! ^= 1;
    fs.writeFileSync(file, changed);
    expect(await isInstalled(place, true)).toBe(false);
    fs.writeFileSync(file, bytes);
    expect(await isInstalled(place, true)).toBe(true);
  });

  it('names an index that can’t be reached in one line and leaves nothing that looks whole', async () => {
    fs.rmSync(path.join(installation(), 'manifest.json'));
    const { stdout, status } = withCache({ PIP_INDEX_URL: 'http://127.0.0.1:9/', PIP_RETRIES: '0', PIP_TIMEOUT: '2' });
    expect(status).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines.at(-1)).toMatch(
      /^UserError: tensorflow(-cpu)?==2\.21\.0 could not be downloaded by pip .*check the network/,
    );
    expect(lines.filter((line) => line.startsWith('UserError'))).toHaveLength(1);
    expect(await isInstalled({ ...here, folder: installation() })).toBe(false);
  });

  it('names a missing Python in one line', () => {
    const { stdout } = withCache({ PATH: '/nonexistent' });
    expect(stdout.trim().split('\n').at(-1)).toMatch(/^UserError: Python 3 with pip was not found/);
  });

  it('is made anew over what an interrupted set-up left', async () => {
    const binding = path.join(installation(), 'tfjs_binding.node');
    fs.rmSync(binding); // a link to the real one, which other processes have in memory
    fs.writeFileSync(binding, 'half');
    fs.mkdirSync(`${installation()}.partial`, { recursive: true });
    // A lock left by a process that is gone.
    const dead = spawnSync(process.execPath, ['--version']).pid;
    fs.writeFileSync(`${installation()}.lock`, String(dead));
    // What the set-up before the tests compiled of the same sources, which takes a compiler half a minute.
    const compiler = path.join(cache, 'g++');
    const compiled = `cp "${here.folder}/\${2##*/}" "$2"`;
    fs.writeFileSync(compiler, `#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n${compiled}\n`, { mode: 0o755 });
    expect(withCache({ CXX: compiler }).stdout).toContain('Compiling');
    // The step compiler is built from the same sources wherever it lies, which every set-up does.
    await buildAddon(here);
    fs.linkSync(addonPath(here), addonPath({ ...here, folder: installation() }));
    expect(run('product', { EFFILORA_CACHE: cache }).stdout).toBe('11\n');
    expect(fs.existsSync(`${installation()}.partial`)).toBe(false);
  });
});
