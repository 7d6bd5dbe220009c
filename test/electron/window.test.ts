import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { _electron } from 'playwright-core';
import type { ElectronApplication, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { makeDeb } from '../../scripts/debian.ts';
import { openLibrary } from '../../src-main/studio/database/open.ts';
import { RunStore } from '../../src-main/studio/runs/store.ts';
import { SettingsStore } from '../../src-main/studio/settings.ts';
import type { Recipe } from '../../src-preload/contract/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { scratchFolder } from '../support/scratch.ts';
import { smallRun } from '../trainer/support.ts';
import { buildApp } from './electron-22/build.ts';
import { electron22, noElectron22, openDisplay } from './electron-22/fetch.ts';

// The studio's own main process, preload and page in a real Electron window. Electron 41's binary is on no package registry;
// 22.3 is (electron-22/fetch.ts). What differs from the one in use is listed in electron-22/stand-ins.cjs; besides, the page is
// shown without Chromium's sandbox where the test runs as root. e2e/electron.test.ts runs on Electron 41 where it is at hand.
const root = fileURLToPath(new URL('../..', import.meta.url));
const pictures = join(root, 'out', 'screenshots');
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const ROOT = process.getuid?.() === 0;

interface Bridge {
  effilora: Record<string, (...given: unknown[]) => Promise<unknown>>;
}

/** Debian's own dpkg installs a package into a system of its own, scripts and all. Returns that system's folder. */
async function installedIn(system: string, deb: string): Promise<string> {
  const admin = join(system, 'var', 'lib', 'dpkg');
  for (const name of ['info', 'updates', 'triggers']) mkdirSync(join(admin, name), { recursive: true });
  writeFileSync(join(admin, 'status'), '');
  await dpkg(system, '--install', deb);
  return system;
}

const dpkg = (system: string, ...command: string[]) =>
  promisify(execFile)('dpkg', [`--root=${system}`, '--force-not-root,depends,script-chrootless', ...command]);

/** A library with one run that waits to be started. */
function keepRun(dataFolder: string, id: string): string {
  const folder = join(dataFolder, 'runs', id);
  mkdirSync(folder, { recursive: true });
  const recipeFile = smallRun(folder, { training: { steps: 100_000, evalEvery: 1000, checkpointEvery: 1000 } });
  const recipe = parse(readFileSync(recipeFile, 'utf8')) as Recipe;
  cpSync(recipeFile, join(folder, 'recipe.yaml'));
  const library = openLibrary(join(dataFolder, 'library.db'));
  new RunStore(library).add({ id, name: 'Kept for later', recipe, predicted: null, folder, hold: true });
  library.close();
  return folder;
}

describe.skipIf(noElectron22)(`the window, in a real Electron ${noElectron22 ? `(${noElectron22})` : ''}`, () => {
  const scratch = scratchFolder();
  let program: string;
  const dataFolder = join(scratch.folder, 'data');
  let display: Awaited<ReturnType<typeof openDisplay>>;
  let environment: Record<string, string>;
  let electron: ElectronApplication;
  let page: Page;
  let runFolder: string;
  let system: string;

  const args = ['--disable-gpu', ...(ROOT ? ['--no-sandbox'] : [])];
  beforeAll(async () => {
    const packed = join(scratch.folder, 'packed');
    cpSync(await electron22(), packed, { recursive: true });
    renameSync(join(packed, 'electron'), join(packed, 'effilora-studio'));
    await buildApp(join(packed, 'resources', 'app'));
    const deb = makeDeb({ folder: packed, out: scratch.folder, version: '0.1.0', root, compression: 'gzip' });
    rmSync(packed, { recursive: true });
    system = await installedIn(join(scratch.folder, 'system'), deb);
    program = join(system, 'opt', 'effilora-studio', 'effilora-studio');
    mkdirSync(dataFolder);
    runFolder = keepRun(dataFolder, 'kept-run');
    display = await openDisplay();
    environment = {
      ...(process.env as Record<string, string>),
      DISPLAY: display.name,
      XDG_CONFIG_HOME: join(scratch.folder, 'config'),
      EFFILORA_DATA: dataFolder,
      EFFILORA_TEST_NODE: process.execPath,
      EFFILORA_TEST_TSX: tsx,
    };
    electron = await _electron.launch({ executablePath: program, args, env: environment });
    electron.context().setDefaultTimeout(PATIENCE_MS);
    page = await electron.firstWindow();
  });
  afterAll(async () => {
    await electron?.close().catch(() => undefined);
    display?.close();
    scratch.remove();
  });

  it('shows the page under its own scheme, which reaches the studio over a port and nothing of Node', async () => {
    await page.getByText('Kept for later').first().waitFor();
    // Asked of a helper, a process of its own.
    await page.getByText('✓ ready').first().waitFor();
    expect(page.url()).toMatch(/^effilora:\/\/studio\/index\.html/);
    const names = ['require', 'process', 'module', 'Buffer'];
    await expect.poll(() => page.evaluate((all) => all.filter((name) => name in globalThis), names)).toEqual([]);
    await expect
      .poll(() => page.evaluate(() => Object.keys((globalThis as unknown as Bridge).effilora).sort()))
      .toEqual(['chooseFile', 'pathOf', 'requestPort'].sort());
    await page.screenshot({ path: join(pictures, 'electron.png') });
  });

  it('obeys its policy: no code from a text, no way to another page, no second window', async () => {
    const evaluated = page.evaluate(`
      const script = document.createElement('script');
      script.textContent = 'globalThis.slipped = true';
      document.head.append(script);
      'slipped' in globalThis`);
    expect(await evaluated).toBe(false);
    await page.evaluate(`void (location.href = 'https://example.com/')`);
    await page.evaluate(`void window.open('file:///etc/passwd')`);
    // Not by a click: Playwright would wait for the navigation that was refused.
    await page.evaluate(`location.hash = '#/settings'`);
    await page.getByText(dataFolder).first().waitFor();
    expect(page.url()).toMatch(/^effilora:/);
    expect(electron.windows()).toHaveLength(1);
  });

  it('goes where its menu says', async () => {
    for (const [label, hash] of [
      ['Runs', '#/runs'],
      ['New fine-tune', '#/new'],
      ['Home', '#/'],
    ] as const) {
      await electron.evaluate(({ Menu }, wanted) => {
        const items = Menu.getApplicationMenu()!.items.flatMap((item) => item.submenu?.items ?? []);
        items.find((item) => item.label === wanted)!.click();
      }, label);
      await page.waitForURL((url) => url.hash.startsWith(hash));
    }
  });

  it('asks for a file in a native dialog of the kind that is wanted', async () => {
    await electron.evaluate(({ dialog }) => {
      dialog.showOpenDialog = (async (...given: unknown[]) => {
        const options = given.at(-1) as { filters?: { name: string }[] };
        return { canceled: false, filePaths: [`/chosen/${options.filters?.[0]?.name ?? 'folder'}`] };
      }) as typeof dialog.showOpenDialog;
    });
    const choose = (kind: string) =>
      page.evaluate((one) => (globalThis as unknown as Bridge).effilora['chooseFile']!(one), kind);
    expect(await choose('dataset')).toBe('/chosen/Datasets');
    expect(await choose('folder')).toBe('/chosen/folder');
    expect(await choose('toString')).toBeNull();
  });

  it('keeps in mind what was chosen or dropped, and answers no page but its own', async () => {
    const [chosen, dropped] = [join(scratch.folder, 'chosen.jsonl'), join(scratch.folder, 'dropped.jsonl')];
    const secret = join(scratch.folder, 'secret.jsonl');
    await electron.evaluate(({ dialog }, path) => {
      dialog.showOpenDialog = (async () => ({ canceled: false, filePaths: [path] })) as typeof dialog.showOpenDialog;
    }, chosen);
    await page.evaluate(() => (globalThis as unknown as Bridge).effilora['chooseFile']!('dataset'));
    // What the preload asks for a dropped file; Electron 22 has no webUtils to tell where that lies.
    const drop = async (path: string) =>
      electron.evaluate(async ({ BrowserWindow, ipcMain }, file) => {
        type Handlers = Map<string, (event: object, ...given: unknown[]) => Promise<void>>;
        const { _invokeHandlers: handlers } = ipcMain as unknown as { _invokeHandlers: Handlers };
        const senderFrame = BrowserWindow.getAllWindows()[0]!.webContents.mainFrame;
        const answer = { _reply: () => undefined, _throw: () => undefined };
        await handlers.get('effilora:dropped')!({ senderFrame, ...answer }, file);
      }, path);
    await drop(dropped);
    await drop('relative.jsonl');
    const answers = await electron.evaluate(async ({ BrowserWindow, dialog }, path) => {
      let dialogs = 0;
      dialog.showOpenDialog = (async () => {
        dialogs += 1;
        return { canceled: false, filePaths: [path] };
      }) as typeof dialog.showOpenDialog;
      const preferences = { nodeIntegration: true, contextIsolation: false, sandbox: false };
      const foreign = new BrowserWindow({ show: false, webPreferences: preferences });
      await foreign.loadURL('data:text/html,<title>Another page</title>');
      const answered = (await foreign.webContents.executeJavaScript(`(async () => {
        const { ipcRenderer } = require('electron');
        let ports = 0;
        ipcRenderer.on('effilora:port', () => ports++);
        ipcRenderer.send('effilora:port');
        await ipcRenderer.invoke('effilora:dropped', ${JSON.stringify(path)});
        return { chosen: await ipcRenderer.invoke('effilora:choose', 'dataset'), ports };
      })()`)) as { chosen: unknown; ports: number };
      foreign.destroy();
      return { ...answered, dialogs };
    }, secret);
    expect(answers).toEqual({ chosen: null, ports: 0, dialogs: 0 });
    const library = openLibrary(join(dataFolder, 'library.db'));
    const kept = new SettingsStore(library).chosenPaths();
    library.close();
    expect(kept).toEqual(expect.arrayContaining([chosen, dropped]));
    for (const other of [secret, 'relative.jsonl']) expect(kept.join()).not.toContain(other);
  });

  it('is shown again by a second start, which ends', async () => {
    await electron.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.hide());
    const second = spawn(program, args, { env: environment, stdio: 'ignore' });
    const [code] = (await once(second, 'exit')) as [number];
    expect(code).toBe(0);
    await expect
      .poll(() => electron.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows().map((one) => one.isVisible())))
      .toEqual([true]);
  });

  it('trains: with its window closed it goes on in the tray, and quitting keeps where it is', async () => {
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByText('Kept for later').first().click();
    await page.getByRole('button', { name: /Resume|Start/ }).click();
    const metrics = join(runFolder, 'metrics.jsonl');
    const steps = () => (existsSync(metrics) ? readFileSync(metrics, 'utf8').split('\n').length - 1 : 0);
    await expect.poll(steps).toBeGreaterThan(3);
    await page
      .getByText(/Step [0-9,]+|step [0-9,]+/)
      .first()
      .waitFor();
    await page.screenshot({ path: join(pictures, 'electron-run.png') });
    await electron.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]!.close());
    await expect.poll(() => electron.windows().length).toBe(0);
    const before = steps();
    await expect.poll(steps).toBeGreaterThan(before + 3);
    const window = electron.waitForEvent('window');
    await electron.evaluate(({ app }) => void app.emit('activate'));
    await (await window).getByText('Kept for later').first().waitFor();
    const ended = once(electron.process(), 'exit');
    await electron.evaluate(({ app }) => app.quit()).catch(() => undefined); // its answer is lost with it
    await ended;
    const library = openLibrary(join(dataFolder, 'library.db'));
    const row = new RunStore(library).row('kept-run');
    library.close();
    expect(row.status).toBe('interrupted');
    expect(existsSync(join(runFolder, 'checkpoints'))).toBe(true);
    expect(steps()).toBeGreaterThan(before);
  });

  it('was installed as a Debian package, which takes all of it away again', async () => {
    const at = (...names: string[]) => join(system, ...names);
    const { stdout } = await dpkg(system, '--status', 'effilora-studio');
    expect(stdout).toMatch(/^Status: install ok installed$/m);
    const entry = readFileSync(at('usr/share/applications/effilora-studio.desktop'), 'utf8');
    const [, started] = /^Exec=(\S+)/m.exec(entry)!;
    expect(join(system, started!)).toBe(program);
    // Chromium's sandbox is there one way or the other.
    const helper = statSync(at('opt/effilora-studio/chrome-sandbox'));
    expect([0o755, 0o4755]).toContain(helper.mode & 0o7777);
    await dpkg(system, '--purge', 'effilora-studio');
    expect(existsSync(at('opt'))).toBe(false);
    expect(existsSync(at('usr/share/applications/effilora-studio.desktop'))).toBe(false);
  });
});
