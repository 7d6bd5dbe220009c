import { RPCHandler } from '@orpc/server/message-port';
import type { BrowserWindow } from 'electron';
import { app, dialog, ipcMain, Menu, MessageChannelMain, Tray } from 'electron';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { followRuns } from './electron/attention.ts';
import { harden } from './electron/harden.ts';
import { setMenu } from './electron/menu.ts';
import { declarePageScheme, isOwnPage, servePage } from './electron/page.ts';
import { keychainSecret } from './electron/secret.ts';
import { utility } from './electron/utility.ts';
import { openWindow } from './electron/window.ts';
import { dataFolder } from './studio/folders.ts';
import { createRouter } from './studio/router.ts';
import { trainerStartedBy } from './studio/runs/trainer-process.ts';
import { openStudio } from './studio/studio.ts';
import { stayUp } from './studio/stay-up.ts';
import type { Studio } from './studio/studio.ts';
import { within } from './studio/within.ts';

/** What the file dialog offers. */
const FILES = {
  model: { name: 'Models', extensions: ['gguf', 'safetensors'] },
  dataset: { name: 'Datasets', extensions: ['jsonl', 'json', 'csv', 'tsv', 'parquet', 'txt'] },
  adapter: { name: 'Adapters', extensions: ['effilora', 'gguf', 'safetensors'] },
};

// Electron's door: everything behind it is the studio's services, which know nothing of windows.
const out = dirname(dirname(fileURLToPath(import.meta.url)));
const preload = join(out, 'preload', 'index.cjs');
const resources = join(dirname(out), 'resources');
let window: BrowserWindow | undefined;
let tray: Tray | undefined;
let quitting = false;
/** Whatever hangs, the studio ends within so many milliseconds. */
const CLOSE_MS = 10_000;

if (!app.requestSingleInstanceLock()) app.quit();
else {
  declarePageScheme();
  void app.whenReady().then(start);
}

function start(): void {
  const folder = dataFolder();
  const studio = openStudio({
    dataFolder: folder,
    trainer: trainerStartedBy(utility),
    launch: utility,
    folders: [homedir()],
    secret: keychainSecret(folder),
    resources,
  });
  harden();
  servePage(join(out, 'renderer'));
  serveContract(studio);
  show(studio);
  setMenu(() => show(studio));
  followRuns(studio, () => window);
  app.on('second-instance', () => show(studio));
  app.on('activate', () => show(studio));
  app.on('window-all-closed', () => leaveOrStay(studio));
  app.on('before-quit', (event) => {
    if (quitting) return;
    event.preventDefault();
    quitting = true;
    void within(studio.close(), CLOSE_MS).then(() => app.quit());
  });
  stayUp();
}

function show(studio: Studio): BrowserWindow {
  if (!window) {
    window = openWindow(studio.dataFolder, preload);
    window.once('closed', () => (window = undefined));
  }
  window.show();
  return window;
}

/** The last window is closed: a training goes on in the tray, where the user wants that. */
function leaveOrStay(studio: Studio): void {
  const training = studio.runs.list(false).some(({ status }) => status === 'running');
  if (!training || !studio.settings.values().keepRunning) return app.quit();
  tray ??= new Tray(join(resources, 'icon.png'));
  tray.setToolTip('EffiLoRA Studio is training');
  const open = { label: 'Open the studio', click: () => show(studio) };
  tray.setContextMenu(Menu.buildFromTemplate([open, { label: 'Pause and quit', click: () => app.quit() }]));
}

function serveContract(studio: Studio): void {
  const handler = new RPCHandler(createRouter(studio));
  ipcMain.on('effilora:port', ({ senderFrame }) => {
    if (!isOwnPage(senderFrame)) return;
    const { port1, port2 } = new MessageChannelMain();
    handler.upgrade(port1, { context: { local: true } });
    port1.start();
    senderFrame.postMessage('effilora:port', null, [port2]);
  });
  // The preload alone asks so, for a file of which the system says that it was dropped.
  ipcMain.handle('effilora:dropped', async ({ senderFrame }, path: unknown) => {
    if (isOwnPage(senderFrame) && typeof path === 'string' && isAbsolute(path)) await studio.settings.choose(path);
  });
  ipcMain.handle('effilora:choose', async ({ senderFrame }, kind: keyof typeof FILES | 'folder') => {
    if (!isOwnPage(senderFrame) || (kind !== 'folder' && !Object.hasOwn(FILES, kind))) return null;
    const { filePaths } = await dialog.showOpenDialog(
      kind === 'folder' ? { properties: ['openDirectory'] } : { properties: ['openFile'], filters: [FILES[kind]] },
    );
    if (filePaths[0] !== undefined) await studio.settings.choose(filePaths[0]);
    return filePaths[0] ?? null;
  });
}
