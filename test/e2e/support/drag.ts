import type { Locator } from 'playwright-core';

/** Drags files or folders of this machine onto an element, as a file manager does: the browser reads them itself. */
export async function dragOnto(target: Locator, paths: string[]): Promise<void> {
  const page = target.page();
  const session = await page.context().newCDPSession(page);
  await target.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await target.boundingBox())!;
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
    await session.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data });
  await session.detach();
}
