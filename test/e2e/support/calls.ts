import type { Page } from 'playwright-core';

/**
 * Keeps the page's calls of some names from the studio until they are let go: the studio then seems to take that long. To be
 * set up before the page opens.
 */
export async function holdCalls(page: Page, names: string[]) {
  const held: (() => void)[] = [];
  let holding = true;
  let answers = 0;
  const isNamed = (message: string | Buffer) => {
    const text = typeof message === 'string' ? message : message.toString('latin1');
    return names.some((name) => text.includes(name));
  };
  await page.routeWebSocket(/\/rpc$/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      if (holding && isNamed(message)) held.push(() => server.send(message));
      else server.send(message);
    });
    server.onMessage((message) => {
      socket.send(message);
      if (isNamed(message)) answers++;
    });
  });
  return {
    /** how many are kept */
    count: () => held.length,
    /** how many of the studio's answers have said one of the names */
    answers: () => answers,
    release() {
      holding = false;
      for (const send of held.splice(0)) send();
    },
  };
}
