import type { Page } from 'playwright-core';

/**
 * Keeps the page's calls of some names from the studio until they are let go: the studio then seems to take that long. To be
 * set up before the page opens.
 */
export async function holdCalls(page: Page, names: string[]) {
  const held: (() => void)[] = [];
  let holding = true;
  await page.routeWebSocket(/\/rpc$/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const text = typeof message === 'string' ? message : message.toString('latin1');
      if (holding && names.some((name) => text.includes(name))) held.push(() => server.send(message));
      else server.send(message);
    });
  });
  return {
    /** how many are kept */
    count: () => held.length,
    release() {
      holding = false;
      for (const send of held.splice(0)) send();
    },
  };
}
