import { net, protocol } from 'electron';
import type { WebFrameMain } from 'electron';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

export const PAGE = 'effilora://studio/index.html';

/** True for the studio's page itself; a frame inside another page, or one that has gone, may not speak to us. */
export function isOwnPage(frame: WebFrameMain | null): frame is WebFrameMain {
  return frame !== null && frame.parent === null && frame.url.split('#')[0] === PAGE;
}

/** Must run before the app is ready. */
export function declarePageScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: 'effilora', privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

/** Serves the built page, and nothing outside its folder. */
export function servePage(folder: string): void {
  protocol.handle('effilora', (request) => {
    const path = resolve(join(folder, decodeURIComponent(new URL(request.url).pathname)));
    const way = relative(folder, path);
    if (way.startsWith(`..${sep}`) || way === '..') return new Response('There is nothing here.', { status: 404 });
    return net.fetch(pathToFileURL(path).href);
  });
}
