import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { forgetGpus } from '../../src-main/engine/devices.ts';
import { bytes } from '../../src-renderer/format.ts';
import { FREE_BYTES, withProvenGpu } from '../support/proven-gpu.ts';
import { scratchFolder } from '../support/scratch.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { connectClient } from './support/client.ts';
import { noBrowser, openBrowser, openPage, startHost, type Host } from './support/studio.ts';

const BUDGET = 2;

describe.skipIf(noBrowser)(`the budget on a machine with two GPUs (${noBrowser ?? 'in chromium'})`, () => {
  const scratch = scratchFolder();
  let host: Host;
  let browser: Browser;
  beforeAll(async () => {
    const cache = join(scratch.folder, 'cache');
    mkdirSync(cache);
    await withProvenGpu(cache);
    host = await startHost(scratch.folder);
    browser = await openBrowser();
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    forgetGpus();
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  it('is of the GPU that the run will be on: its slider goes up to its memory, and begins at nine tenths of what is free there', async () => {
    const { client, close } = await connectClient(host.url);
    const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
    const rows = join(scratch.folder, 'rows.jsonl');
    writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
    const free = { memoryBytes: null, seconds: null, fixed: {} };
    const mix = [{ path: rows, weight: 1 }];
    await client.drafts.set({ step: BUDGET, name: '', model, mix, lossOn: 'answer', ...free });
    close();
    const { page, errors } = await openPage(browser, `${host.url}/#/new`);
    await page.getByText(`NVIDIA H100 80GB HBM3, ${bytes(FREE_BYTES)} free`, { exact: true }).waitFor();
    const slider = page.getByRole('slider', { name: /Memory/ });
    await expect.poll(() => slider.getAttribute('max')).toBe('80');
    await expect.poll(async () => Number(await slider.inputValue())).toBeCloseTo((0.9 * FREE_BYTES) / 2 ** 30, 1);
    expect(errors).toEqual([]);
  });
});
