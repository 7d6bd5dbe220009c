// `npm run package`: the app for the system it runs on, into dist/. On Linux the .deb and .tar.gz are made with the system's own
// tools; AppImage, NSIS and dmg with electron-builder's, which it fetches.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { register } from 'tsx/esm/api';
import { root } from './setup.mjs';

register();
const { makeDeb } = await import('./debian.ts');

const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const out = path.join(root, 'dist');

/** Runs a program of node_modules/.bin with its output shown. Returns true if it ended well. */
function runs(program, ...args) {
  const options = { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' };
  return spawnSync(path.join(root, 'node_modules', '.bin', program), args, options).status === 0;
}

function linux() {
  if (!runs('electron-builder', '--linux', 'dir', '--publish', 'never')) return false;
  const folder = path.join(out, 'linux-unpacked');
  console.log(makeDeb({ folder, out, version, root }));
  const archive = path.join(out, `effilora-studio-${version}-linux-x64.tar.gz`);
  const renamed = `s,^linux-unpacked,effilora-studio-${version},`;
  execFileSync('tar', ['-czf', archive, `--transform=${renamed}`, '-C', out, 'linux-unpacked']);
  console.log(archive);
  if (!runs('electron-builder', '--linux', 'AppImage', '--prepackaged', folder, '--publish', 'never'))
    console.error(
      'No AppImage was made: electron-builder could not fetch its tool for it. The .deb and the .tar.gz are whole.',
    );
  return true;
}

const isDone = runs('electron-vite', 'build') && (process.platform === 'linux' ? linux() : runs('electron-builder'));
process.exitCode = isDone ? 0 : 1;
