import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { RunSummary } from '../../src-preload/contract/index.ts';
import { connectClient } from '../e2e/support/client.ts';
import { dragOnto } from '../e2e/support/drag.ts';
import { supportCells, writeWorkbook } from '../e2e/support/spreadsheet.ts';
import { openBrowser, openPage, startHost } from '../e2e/support/studio.ts';
import buildOnce from '../support/build-once.ts';
import { Film } from './film.ts';

/**
 * `npm run pictures`: walks the road from a spreadsheet to a chat with the default model and makes docs/images anew: the film, and the
 * pictures that README and pages show. Takes the time of a short training.
 */
const images = fileURLToPath(new URL('../../docs/images', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'effilora-pictures-'));
const SIZE = { width: 1440, height: 1000 };
/** How long a person looks at what is new, milliseconds. */
const LOOK = 1_800;
/** How long each step of the training is shown, milliseconds. */
const STEP_LOOK = 400;

const file = join(work, 'Kundenfragen.xlsx');
await writeWorkbook(file, supportCells());
const removeBuilt = await buildOnce();
const host = await startHost(join(work, 'studio'));
const browser = await openBrowser(['--force-color-profile=srgb']);
const { client, close } = await connectClient(host.url);
try {
  const { page } = await openPage(browser, `${host.url}/`, { width: SIZE.width });
  const film = new Film(page);
  const still = (name: string) => page.screenshot({ path: join(images, name), clip: { x: 0, y: 0, ...SIZE } });
  const run = await walk(page, film, still);
  const start = JSON.parse(readFileSync(join(run.folder, 'start.json'), 'utf8')) as { evalLoss: number };
  console.log(`Held-out loss ${start.evalLoss} before, ${run.evalLoss} after, ${run.steps} steps`);
  console.log(
    `In all ${(run.endedAt! - run.startedAt!) / 1000} s; predicted ${(await client.runs.get({ id: run.id })).predicted?.seconds} s`,
  );
  mkdirSync(images, { recursive: true });
  await film.write(join(images, 'road.webp'));
} finally {
  close();
  await browser.close();
  await host.close();
  removeBuilt();
  rmSync(work, { recursive: true, force: true });
}

/** The road; returns its run. */
async function walk(page: Page, film: Film, still: (name: string) => Promise<unknown>): Promise<RunSummary> {
  const button = (name: string | RegExp) => page.getByRole('button', { name });
  const shown = (text: string | RegExp) => page.getByText(text).first().waitFor();
  await page.setViewportSize(SIZE);
  await shown('Teach a model something');
  await shown('✓ ready');
  await film.take(LOOK);
  await page.getByRole('link', { name: 'Datasets' }).click();
  await shown('Upload from this device');
  await shown(/Comes with the studio/);
  await film.take(LOOK);
  await dragOnto(page.getByRole('heading', { name: 'Datasets' }), [file]);
  await shown(/samstags um zehn/);
  await film.take(2 * LOOK);
  await button('Fine-tune with it').click();
  await page.getByRole('radio', { name: /SmolLM2-135M-Instruct/ }).check();
  await film.take(LOOK);
  await button('Continue').click();
  await shown('As the model reads it');
  await film.take(LOOK);
  await button('Continue').click();
  await shown('How thoroughly should it learn?');
  await page.getByText('What it builds, and why').click();
  await still('budget.png');
  await page.getByText('What it builds, and why').click();
  await film.take(LOOK);
  await button('Continue').click();
  await shown('What will happen');
  await shown(/^SmolLM2-135M-Instruct learns from/);
  await film.take(LOOK);
  await button('Start training').click();
  await shown('Loading the model and the data');
  await film.take(LOOK);
  const run = await watch(page, film);
  await page.getByRole('link', { name: 'Chat', exact: true }).waitFor();
  await shown(/^Held-out loss .+ in \d/);
  await film.take(2 * LOOK);
  await page.evaluate("document.querySelector('.story').scrollIntoView()");
  await still('run.png');
  await film.take(2 * LOOK);
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await page.getByPlaceholder('Ask something').fill('Wann öffnet die Filiale 99?');
  await film.take(LOOK);
  await button('Send').click();
  const regenerate = button('Regenerate');
  await regenerate.and(page.locator(':enabled')).waitFor();
  await film.take(3 * LOOK);
  return run;
}

/** A picture of each step of the training until it has ended. */
async function watch(page: Page, film: Film): Promise<RunSummary> {
  for (let taken = 0; ;) {
    const [run] = (await client.runs.list()).runs;
    if (run!.status === 'finished') return run!;
    if (run!.status !== 'running' && run!.status !== 'queued')
      throw new Error(`The run is ${run!.status}: ${run!.message}`);
    if (run!.step > taken) {
      taken = run!.step;
      await page
        .getByText(new RegExp(`^${taken} of`))
        .first()
        .waitFor();
      await film.take(STEP_LOOK);
    }
    await page.waitForTimeout(500);
  }
}
