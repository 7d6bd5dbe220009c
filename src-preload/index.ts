import { contextBridge, ipcRenderer, webUtils } from 'electron';

/** All the page gets of Electron: one end of a port to the studio, a dropped file's path, a file dialog. */
contextBridge.exposeInMainWorld('effilora', {
  requestPort: () => ipcRenderer.send('effilora:port'),
  /** The studio may read what was dropped, wherever it lies; no page can make up such a file. */
  pathOf: async (file: File) => {
    const path = webUtils.getPathForFile(file);
    if (path) await ipcRenderer.invoke('effilora:dropped', path);
    return path;
  },
  chooseFile: (kind: 'model' | 'dataset' | 'adapter' | 'folder') => ipcRenderer.invoke('effilora:choose', kind),
});

ipcRenderer.on('effilora:port', (event) => {
  // A port can't pass the bridge itself: it is posted into the page's own world.
  const page = globalThis as unknown as { postMessage(message: unknown, origin: string, ports: unknown[]): void };
  page.postMessage('effilora:port', '*', event.ports);
});
