import { Menu } from 'electron';
import type { BrowserWindow } from 'electron';

/** The page's own addresses by shortcut, and what every program's menu has. */
export function setMenu(window: () => BrowserWindow): void {
  const go = (label: string, hash: string, accelerator: string) => ({
    label,
    accelerator,
    click: () => void window().webContents.executeJavaScript(`location.hash = ${JSON.stringify(hash)}`),
  });
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      ...(process.platform === 'darwin' ? [{ role: 'appMenu' as const }] : []),
      {
        label: 'Studio',
        submenu: [
          go('New fine-tune', '#/new', 'CmdOrCtrl+N'),
          go('Home', '#/', 'CmdOrCtrl+1'),
          go('Runs', '#/runs', 'CmdOrCtrl+2'),
          go('Settings', '#/settings', 'CmdOrCtrl+,'),
          { type: 'separator' },
          { role: 'quit' },
        ],
      },
      { role: 'editMenu' },
      { role: 'viewMenu' },
      { role: 'windowMenu' },
    ]),
  );
}
