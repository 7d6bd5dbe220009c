import { BrowserWindow } from 'electron';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE } from './page.ts';

interface WindowState {
  width: number;
  height: number;
  x?: number;
  y?: number;
  maximized?: boolean;
}

/** The studio's window where and as large as it was left. */
export function openWindow(dataFolder: string, preload: string): BrowserWindow {
  const file = join(dataFolder, 'window.json');
  const { maximized, ...bounds } = readState(file);
  const window = new BrowserWindow({
    ...bounds,
    minWidth: 720,
    minHeight: 520,
    show: false,
    backgroundColor: '#f6f3ec',
    webPreferences: { preload, contextIsolation: true, sandbox: true, nodeIntegration: false, webSecurity: true },
  });
  if (maximized) window.maximize();
  window.once('ready-to-show', () => window.show());
  window.on('close', () => {
    try {
      writeFileSync(file, JSON.stringify({ ...window.getNormalBounds(), maximized: window.isMaximized() }));
    } catch (error) {
      // A full disk: the window opens where it was before.
      console.error(error);
    }
  });
  void window.loadURL(PAGE);
  return window;
}

function readState(file: string): WindowState {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as WindowState;
  } catch {
    return { width: 1360, height: 900 };
  }
}
