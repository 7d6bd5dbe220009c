import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { keepRuns } from './support/library.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

const ASSETS = fileURLToPath(new URL('../../out/renderer/assets/', import.meta.url));
const WRITER = fileURLToPath(new URL('./support/writer.ts', import.meta.url));
const LARGE = { layers: 32, heads: 8, steps: 20_000, headsEvery: 10 };
const LIVE = { layers: 8, heads: 4, steps: 2_000, headsEvery: 5 };

/** Seconds of its thread that the yardstick takes a page on a machine for which the limits below are meant. */
const YARDSTICK_SECONDS = 0.35;

/** Tries of which one has to be within the limit: what other processes take of the machine, its caches too, is no part of the page's cost. */
const TRIES = 3;

describe.skipIf(noBrowser)(`the page's cost (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let liveFolder: string;
  let slowness: () => Promise<number>;
  beforeAll(async () => {
    const kept = [
      { id: 'large', status: 'finished' as const, shape: LARGE },
      { id: 'live', status: 'paused' as const, shape: LIVE },
    ];
    liveFolder = keepRuns(studio.folder, kept)[1]!;
    ({ host, browser } = await studio.open());
    slowness = await yardstick(browser);
  });

  it('is under 1 MB gzipped, with the charts apart', () => {
    const scripts = readdirSync(ASSETS).filter((name) => /\.(js|css)$/.test(name));
    const sizes = Object.fromEntries(scripts.map((name) => [name, gzipSync(readFileSync(join(ASSETS, name))).length]));
    const all = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    console.log(`all scripts and styles: ${Math.round(all / 1e3)} kB gzipped`);
    expect(all).toBeLessThan(1e6);
    const page = readFileSync(join(ASSETS, '..', 'index.html'), 'utf8');
    const first = scripts.filter((name) => page.includes(name));
    expect(first.length).toBeGreaterThan(0);
    for (const name of first) expect(readFileSync(join(ASSETS, name), 'utf8')).not.toContain('chartjs.org');
  });

  it('paints first within a second and a half', async () => {
    const paints: number[] = [];
    for (let n = 0; n < TRIES && !(Math.min(...paints) < 1500); n++) {
      const slower = await slowness();
      const { page } = await openPage(browser, host.url);
      await untilShown(page, 'Recent runs');
      const entry = `performance.getEntriesByName('first-contentful-paint')[0].startTime`;
      paints.push((await page.evaluate<number>(entry)) / slower);
      await page.context().close();
    }
    console.log(`first contentful paint after ${paints.map(Math.round).join(', ')} ms of the yardstick's machine`);
    expect(Math.min(...paints)).toBeLessThan(1500);
  });

  it('scrubs a run of 32 layers, 7 sites, 8 heads and 20,000 steps smoothly, in under 300 MB', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs/large`);
    await page.getByRole('img', { name: /^Head map at step 20000/ }).waitFor();
    const meter = await cpuMeter(page);
    const frames: number[] = [];
    const works: number[] = [];
    for (let n = 0; n < TRIES && !(Math.min(...works) < 1000 / 60); n++) {
      const slower = await slowness();
      const before = await meter();
      const taken = await scrub(page, 120);
      works.push((1000 * ((await meter()).cpu - before.cpu)) / taken.length / slower);
      frames.push(...taken);
    }
    const work = Math.min(...works);
    const late = frames.filter((milliseconds) => milliseconds > 1000 / 30).length;
    const memory = await memoryBytes(page);
    const median = [...frames].sort((a, b) => a - b)[frames.length >> 1]!;
    console.log(
      `scrubbing: ${median.toFixed(1)} ms a frame in the middle, ${late} of ${frames.length} late, ` +
        `${works.map((each) => each.toFixed(1)).join(', ')} ms of work each; ${Math.round(memory / 1e6)} MB`,
    );
    // The work of the page's thread doesn't depend on who else uses the machine: it has to fit into a frame.
    expect(work).toBeLessThan(1000 / 60);
    expect(memory).toBeLessThan(300e6);
    await page.context().close();
  });

  it('takes 50 updates a second for under a tenth of a core', async () => {
    const { page } = await openPage(browser, `${host.url}/#/runs/live`);
    await page.getByRole('img', { name: /^Head map at step 2000/ }).waitFor();
    const writer = fork(WRITER, [liveFolder, JSON.stringify(LIVE)], { execArgv: ['--import', 'tsx'] });
    const meter = await cpuMeter(page);
    const map = page.getByRole('img', { name: /^Head map/ });
    const shown = async () => Number(/at step (\d+)/.exec((await map.getAttribute('aria-label'))!)![1]);
    const until = (step: number) => expect.poll(shown, { interval: 250 }).toBeGreaterThanOrEqual(step);
    const shares: number[] = [];
    await until(LIVE.steps + 50);
    for (let n = 0; n < TRIES && !(Math.min(...shares) < 0.15); n++) {
      const slower = await slowness();
      const before = await meter();
      await until((await shown()) + 200);
      const after = await meter();
      shares.push((after.cpu - before.cpu) / (after.clock - before.clock) / slower);
    }
    writer.kill();
    // The thread's own time. A tenth is aimed at; sharing caches with a busy neighbour makes the same work take longer.
    console.log(`50 updates a second cost ${shares.map((share) => (100 * share).toFixed(1)).join(', ')} % of a core`);
    expect(Math.min(...shares)).toBeLessThan(0.15);
    await page.context().close();
  });
});

/**
 * Takes the yardstick, a fixed piece of work in a page of its own; gives how much slower than on the machine of the limits it was.
 * Taken right before what is measured, as a busy neighbour slows both.
 */
async function yardstick(browser: Browser): Promise<() => Promise<number>> {
  const page = await browser.newPage();
  const meter = await cpuMeter(page);
  return async () => {
    const before = await meter();
    await page.evaluate(`{
      const rows = Array.from({ length: 200_000 }, (_, i) => ({ step: i, loss: Math.sin(i), name: 'head ' + (i * 7919) % 1000 }));
      rows.sort((a, b) => a.loss - b.loss);
      JSON.parse(JSON.stringify(rows)).length;
    }`);
    return ((await meter()).cpu - before.cpu) / YARDSTICK_SECONDS;
  };
}

/** Moves the time slider once every frame; how long each frame took, milliseconds. */
function scrub(page: Page, count: number): Promise<number[]> {
  return page.evaluate<number[]>(`new Promise((resolve) => {
    const slider = document.querySelector('#step');
    const times = [];
    let last;
    function frame(now) {
      if (last !== undefined) times.push(now - last);
      last = now;
      if (times.length >= ${count}) return resolve(times);
      slider.value = String(1 + ((times.length * 997) % 20000));
      slider.dispatchEvent(new Event('input'));
      requestAnimationFrame(frame);
    }
    requestAnimationFrame(frame);
  })`);
}

/** JavaScript's heap and its buffers, after a collection. */
async function memoryBytes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize, backingStorageSize } = (await session.send('Runtime.getHeapUsage')) as {
    usedSize: number;
    backingStorageSize?: number;
  };
  return usedSize + (backingStorageSize ?? 0);
}

/** Reads the page's main thread: seconds at work, and the clock. */
async function cpuMeter(page: Page): Promise<() => Promise<{ cpu: number; clock: number }>> {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const cpu = metrics.find(({ name }) => name === 'ThreadTime')!.value;
    return { cpu, clock: performance.now() / 1000 };
  };
}
