import { noSoftwareGpu } from '../support/software-gpu.ts';
import type { Browser } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { bytes } from '../../src-renderer/format.ts';
import { findAdapter } from '../../src-main/engine/webgpu/adapter.ts';
import { noBrowser, openPage, studioInBrowser, type Host } from './support/studio.ts';

const missing = noBrowser || noSoftwareGpu;

describe.skipIf(missing)(`the home in a browser${missing ? ` (${missing})` : ''}`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    ({ host, browser } = await studio.open());
  });

  it("shows the GPU that WebGPU finds, by its name and with its memory, and why it isn't auto's choice", async () => {
    const found = await findAdapter();
    if (typeof found === 'string') throw new Error(found);
    const { page, errors } = await openPage(browser, `${host.url}/#/`);
    const card = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'webgpu' }) });
    await card.getByText('✓ ready').waitFor();
    expect(found.device).toMatch(/swiftshader|llvmpipe/i);
    for (const told of [found.device, `${bytes(found.memoryBytes)} for tensors`, 'A software adapter'])
      await expect.poll(() => card.innerText()).toContain(told);
    expect(errors).toEqual([]);
  });
});
