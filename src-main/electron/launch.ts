import { spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../engine/folders.ts';
import { isOlder } from '../web/build.ts';

/** An Electron that ends this soon with an error never showed its window, ms. */
const SOON = 10_000;
/** A download that failed is tried again after this, ms. */
const TRY_AGAIN = 24 * 3600 * 1000;
const MOST_TIME = 15 * 60_000;

/**
 * Opens the studio in its own window and waits until it is closed.
 * @param root the checkout
 * @returns false, with one line said, where that can't be
 */
export async function openInElectron(root: string, log: (line: string) => void): Promise<boolean> {
  const against = noWindow() ?? fetchBinary(root, log) ?? build(root, log);
  if (against !== undefined) {
    log(`${against}; the studio opens in the browser instead.`);
    return false;
  }
  const started = Date.now();
  const code = await new Promise<number | null>((resolve) => {
    const electron = spawn(binaryOf(root)!, [root], { stdio: 'inherit' });
    electron.once('exit', resolve).once('error', () => resolve(1));
  });
  if (code === 0 || Date.now() - started > SOON) return true;
  log(`Electron ended with code ${code} before its window opened; the studio opens in the browser instead.`);
  return false;
}

/** Why no window can be opened here, whatever is installed. */
function noWindow(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (!process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) return 'There is no display here';
  // Chromium's sandbox, which the page is never shown without.
  if (process.getuid?.() === 0) return 'Electron does not run as root';
  return undefined;
}

/** Where Electron's program lies, once it was fetched; its package says where. */
function binaryOf(root: string): string | undefined {
  try {
    const binary = createRequire(path.join(root, 'package.json'))('electron') as unknown;
    return typeof binary === 'string' && fs.existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/** Fetches Electron's program, which its npm package does not hold. Returns why it could not be had. */
function fetchBinary(root: string, log: (line: string) => void): string | undefined {
  if (binaryOf(root)) return undefined;
  const failure =
    "Electron's program could not be fetched; where github.com can be reached, node node_modules/electron/install.js fetches it";
  const failed = path.join(cacheFolder(), 'electron-not-reached');
  const last = fs.statSync(failed, { throwIfNoEntry: false });
  if (last && Date.now() - last.mtimeMs < TRY_AGAIN) return failure;
  log('Fetching Electron (about 110 MB)');
  const installer = path.join(root, 'node_modules', 'electron', 'install.js');
  spawnSync(process.execPath, [installer], { stdio: 'ignore', timeout: MOST_TIME });
  if (binaryOf(root)) return undefined;
  fs.mkdirSync(path.dirname(failed), { recursive: true });
  fs.writeFileSync(failed, '');
  return failure;
}

/** Bundles main process, preload and page, where they are older than their sources. Returns why that failed. */
function build(root: string, log: (line: string) => void): string | undefined {
  const outputs = ['main/index.js', 'preload/index.cjs', 'renderer/index.html'].map((file) =>
    path.join(root, 'out', file),
  );
  const sources = ['src-main', 'src-preload', 'src-renderer', 'package-lock.json'].map((name) => path.join(root, name));
  if (outputs.every((output) => !isOlder(output, sources))) return undefined;
  log('Building the studio');
  const program = path.join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
  const result = spawnSync(process.execPath, [program, 'build', '--logLevel', 'error'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (result.status === 0) return undefined;
  return `The studio could not be built for Electron (${result.stderr.trim().split('\n').at(-1)})`;
}
