// Set-up on a fresh clone, in plain Node: packages first, then (through tsx) the engine and the default model.
// What is done is skipped; what can't be had is named in one line, and the rest goes on.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { alone } from './alone.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/**
 * Runs `npm ci` unless node_modules was made from this very lock file; what only tests need is added to what is there, under a
 * studio that may be running from it. Of several processes that find something to do one installs, and the others wait for that.
 * @param tests also what only tests need (test/package.json), several times as much
 */
export async function installPackages(tests) {
  if (!lacking(tests)) return;
  const waits = () => console.error('Another process installs the packages; this one waits for it');
  await alone(root, () => install(tests), waits);
}

/** What is to be installed; undefined where it is there. */
function lacking(tests) {
  const lock = fs.readFileSync(path.join(root, 'package-lock.json'));
  const digest = crypto.createHash('sha256').update(lock).digest('hex');
  const folder = path.join(root, 'node_modules');
  // A linked node_modules is shared with another checkout, whose own set-up keeps it.
  if (fs.lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  // Where the tests' packages are, somebody runs tests: they stay, whichever command finds the lock file changed.
  const all = tests || fs.existsSync(path.join(folder, 'vitest'));
  const made = all ? `${digest} with tests` : digest;
  const stamp = path.join(folder, '.effilora-lock');
  const there = fs.existsSync(stamp) ? fs.readFileSync(stamp, 'utf8') : undefined;
  if (there === made) return undefined;
  return { lock, folder, all, made, stamp, adds: there === digest };
}

function install(tests) {
  const missing = lacking(tests);
  if (!missing) return;
  const { lock, folder, all, made, stamp, adds } = missing;
  if (all && isInstalled(lock, folder)) return fs.writeFileSync(stamp, made);
  console.error(all ? 'Installing packages, those for tests, too' : 'Installing packages');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  // `npm ci` begins by deleting node_modules.
  const how = adds ? ['install', '--no-save'] : ['ci'];
  const args = [...how, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = spawnSync(npm, all ? args : [...args, '--workspaces=false'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) {
    console.error('The packages could not be installed; check the network and run the command again.');
    process.exit(1);
  }
  fs.writeFileSync(stamp, made);
}

/** True where npm's own list of what it installed, say by `npm install`, has all of the lock file but what other systems need. */
function isInstalled(lock, folder) {
  const list = path.join(folder, '.package-lock.json');
  if (!fs.existsSync(list)) return false;
  const installed = JSON.parse(fs.readFileSync(list, 'utf8')).packages;
  return Object.entries(JSON.parse(lock).packages).every(
    ([place, { version, optional }]) =>
      !place.startsWith('node_modules/') || optional || installed[place]?.version === version,
  );
}

/**
 * Everything a fresh clone needs; with `tests` what tests need, too. `again: false`: a download that failed a short while
 * ago is not tried again.
 * @param withPackages called when the packages are there, while the rest is fetched
 */
export async function setUp({ tests = false, withPackages = () => {}, ...options } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Node 20.19 or newer is needed; this is ${process.versions.node}.`);
    process.exit(1);
  }
  await installPackages(tests);
  withPackages();
  const { register } = await import('tsx/esm/api');
  register();
  const { setUpParts } = await import('../src-main/setup.ts');
  await setUpParts((line) => console.error(line), options);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setUp();
