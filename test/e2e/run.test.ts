import { setTimeout as wait } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { trainerAt } from '../support/trainer-moment.ts';
import { connectClient, untilRun } from './support/client.ts';
import { startProxy } from './support/proxy.ts';
import { noBrowser, openBrowser, openPage, startHost, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const STEPS = 40;
const CUT_MS = 10_000;

/** The steps of the smoothed loss as the page's own table has them. */
async function stepsShown(page: Page): Promise<number[]> {
  const section = page.locator('section', { has: page.getByRole('heading', { name: 'Loss', exact: true }) });
  await section.locator('details').evaluate((details) => details.setAttribute('open', ''));
  return section
    .locator('tbody tr')
    .evaluateAll((rows) =>
      rows
        .filter((row) => row.children[0]!.textContent!.includes('smoothed'))
        .map((row) => Number(row.children[1]!.textContent)),
    );
}
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe.skipIf(noBrowser)(`a run in the browser, with the real trainer (${noBrowser ?? 'in chromium'})`, () => {
  let scratch: ReturnType<typeof scratchFolder>;
  let host: Host;
  let browser: Browser | undefined;
  let trainer: ReturnType<typeof trainerAt>;
  beforeEach(() => void (scratch = scratchFolder()));
  afterEach(async () => {
    await browser?.close();
    trainer.release();
    await host.close();
    scratch.remove();
  });

  /** A host, and on it a small model's run that stands still at a step. */
  async function startRun(step: number) {
    trainer = trainerAt({ kind: 'metrics', step }, 'SIGSTOP');
    host = await startHost(scratch.folder, 0, trainer.env);
    const { client, close } = await connectClient(host.url);
    const dataset = writeTokens(`${scratch.folder}/data.jsonl`);
    // The model lies outside the chosen folders until its folder is chosen.
    await client.settings.set({ folders: [TINY_MODEL] });
    const recipe = {
      model: TINY_MODEL,
      dataset,
      method: { rank: 2, heads: 3, reducer: { ratio: 0.5, warmup: 10, interval: 10 } },
      training: { steps: STEPS, batch: 4, sequenceLength: 32, evalSplit: 8, evalEvery: 1, checkpointEvery: 10 },
    };
    const { id } = await client.runs.create({ name: 'small run', recipe });
    return { client, id, close };
  }

  it('misses no step when the connection is cut for ten seconds', async () => {
    const { client, id, close } = await startRun(3);
    const port = Number(new URL(host.url).port);
    const proxy = await startProxy(() => port);
    // The page asks for the host's own address; only the wire goes through the proxy.
    browser = await openBrowser([`--host-resolver-rules=MAP localhost:${port} 127.0.0.1:${proxy.port}`]);
    const { page } = await openPage(browser, `http://localhost:${port}/#/runs/${id}`);
    await untilRun(client, id, (_, step) => step >= 3);
    await untilShown(page, new RegExp(`^\\d+ of ${STEPS} steps`));
    proxy.cut();
    await trainer.goOn();
    await untilShown(page, /connection to the studio is lost/);
    await wait(CUT_MS);
    proxy.mend();
    await page.getByText(/connection to the studio is lost/).waitFor({ state: 'detached' });
    await untilShown(page, `${STEPS} of ${STEPS} steps`);
    await untilShown(page, '✓Finished');
    await expect.poll(() => stepsShown(page)).toEqual(upTo(STEPS));
    close();
    await proxy.close();
  });

  it('goes on from its checkpoint by the button after the trainer was killed', async () => {
    browser = await openBrowser();
    const { client, id, close } = await startRun(15);
    const { page, errors } = await openPage(browser, `${host.url}/#/runs/${id}`);
    await untilRun(client, id, (_, step) => step >= 15);
    process.kill(await trainer.standing(), 'SIGKILL');
    await untilShown(page, /was ended by SIGKILL/);
    await page.getByRole('button', { name: 'Resume' }).click();
    await untilShown(page, '✓Finished');
    await expect.poll(() => stepsShown(page)).toEqual(upTo(STEPS));
    expect(errors).toEqual([]);
    close();
  });

  it('is there again, and goes on, after the studio was killed and started anew', async () => {
    browser = await openBrowser();
    const { client, id } = await startRun(15);
    const { page } = await openPage(browser, `${host.url}/#/runs/${id}`);
    await untilRun(client, id, (_, step) => step >= 15);
    await trainer.standing();
    await host.kill();
    await untilShown(page, /connection to the studio is lost/);
    // Without its studio the trainer writes a checkpoint and ends by itself.
    await trainer.goOn();
    await trainer.gone();
    host = await startHost(scratch.folder, Number(new URL(host.url).port));
    await untilShown(page, /studio ended while this run was going/);
    await page.getByRole('button', { name: 'Resume' }).click();
    await untilShown(page, '✓Finished');
    await expect.poll(() => stepsShown(page)).toEqual(upTo(STEPS));
  });
});
