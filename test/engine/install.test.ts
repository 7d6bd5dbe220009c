import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { expectedInstallation, isInstalled } from '../../src-main/engine/tensorflow/install.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a piece of TypeScript in a process of its own. */
function runScript(code: string, environment: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
}

const INSTALL = `
  import { installTensorflow } from './src-main/engine/tensorflow/install.ts';
  await installTensorflow(console.log).catch((error) => console.log(error.name + ': ' + error.message));
`;
const PRODUCT = `
  import * as tf from '@tensorflow/tfjs-core';
  import { openEngine } from './src-main/engine/index.ts';
  await openEngine('tensorflow');
  console.log(tf.matMul([[1, 2]], [[3], [4]]).dataSync()[0]);
`;

describe('a process that computes with the tensorflow engine', () => {
  it('prints the product and nothing else, on either stream', () => {
    const result = runScript(PRODUCT);
    expect({ stdout: result.stdout, stderr: result.stderr }).toEqual({ stdout: '11\n', stderr: '' });
  });

  it('shows TensorFlow’s own log to whoever asks for it', () => {
    const { stdout, stderr } = runScript(PRODUCT, { TF_CPP_MIN_LOG_LEVEL: '0' });
    expect(stdout).toBe('11\n');
    expect(stderr).toMatch(/oneDNN|cpu_feature_guard/);
  });
});

describe('an installation of its own', () => {
  let cache: string;
  const installation = () => {
    const { folder } = expectedInstallation();
    return path.join(cache, path.relative(cacheFolder(), folder));
  };

  // The real libraries, linked instead of fetched again.
  beforeAll(() => {
    cache = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-cache-'));
    fs.mkdirSync(path.dirname(installation()), { recursive: true });
    execFileSync('cp', ['-rl', expectedInstallation().folder, installation()]);
  });
  afterAll(() => fs.rmSync(cache, { recursive: true }));

  const withCache = (environment: NodeJS.ProcessEnv = {}) =>
    runScript(INSTALL, { EFFILORA_CACHE: cache, ...environment });

  it('is left alone when it is whole', () => {
    expect(withCache().stdout).toBe('');
  });

  it('is not taken for whole when a file is cut off, changed or missing', async () => {
    const place = { ...expectedInstallation(), folder: installation() };
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
    expect(await isInstalled({ ...expectedInstallation(), folder: installation() })).toBe(false);
  });

  it('names a missing Python in one line', () => {
    const { stdout } = withCache({ PATH: '/nonexistent' });
    expect(stdout.trim().split('\n').at(-1)).toMatch(/^UserError: Python 3 with pip was not found/);
  });

  it('is made anew over what an interrupted set-up left', () => {
    const binding = path.join(installation(), 'tfjs_binding.node');
    fs.rmSync(binding); // a link to the real one, which other processes have in memory
    fs.writeFileSync(binding, 'half');
    fs.mkdirSync(`${installation()}.partial`, { recursive: true });
    // A lock left by a process that is gone.
    const dead = spawnSync(process.execPath, ['--version']).pid;
    fs.writeFileSync(`${installation()}.lock`, String(dead));
    // What is compiled is the same; only the optimizer, most of a compiler's time, is left out.
    const compiler = path.join(cache, 'g++');
    fs.writeFileSync(compiler, '#!/bin/sh\nexec g++ "$@" -O0\n', { mode: 0o755 });
    expect(withCache({ CXX: compiler }).stdout).toContain('Compiling');
    expect(runScript(PRODUCT, { EFFILORA_CACHE: cache, CXX: compiler }).stdout).toBe('11\n');
    expect(fs.existsSync(`${installation()}.partial`)).toBe(false);
  });
});
