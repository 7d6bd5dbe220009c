import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { forked, type Child, type ChildExit, type Launch } from '../../src-main/engine/child.ts';
import { cacheFolder } from '../../src-main/engine/folders.ts';
import { quickestProducts } from '../../src-main/engine/quickest-products.ts';
import { temporary } from '../trainer/support.ts';

const TENSORFLOW = { name: 'tensorflow', kind: 'cpu' } as const;
let work: string;
beforeAll(() => {
  work = temporary('quickest');
  fs.symlinkSync(path.join(cacheFolder(), 'engine'), path.join(work, 'engine'));
  process.env['EFFILORA_CACHE'] = work;
});
beforeEach(() => fs.rmSync(path.join(work, 'products'), { recursive: true, force: true }));
afterAll(() => {
  delete process.env['EFFILORA_CACHE'];
  fs.rmSync(work, { recursive: true });
});

/** Stands for the process: answers what it is told to, or ends, or hangs. Counts how often it was started. */
function faked(answer: unknown): { launch: Launch; started: () => number; killedBy: () => unknown } {
  let started = 0;
  let killedBy: unknown;
  const launch: Launch = () => {
    started++;
    let told: (message: unknown) => void = () => {};
    let exited: (exit: ChildExit) => void = () => {};
    const end = (signal: NodeJS.Signals | null) => exited({ code: signal ? null : 1, signal, said: '' });
    const child: Child = {
      processId: 1,
      send: () => (answer === 'ends' ? end(null) : answer === 'hangs' ? undefined : told(answer)),
      onMessage: (listener) => (told = listener),
      onExit: (listener) => (exited = listener),
      kill(signal = 'SIGTERM') {
        killedBy = signal;
        end(signal);
      },
    };
    return child;
  };
  return { launch, started: () => started, killedBy: () => killedBy };
}

it('takes integers where their products are half as fast again, and measures a machine once', async () => {
  const fast = faked({ f32: 0.03, int8: 0.01 });
  expect(await quickestProducts(TENSORFLOW, fast.launch)).toEqual({ products: 'int8', times: expect.closeTo(3, 9) });
  expect(await quickestProducts(TENSORFLOW, fast.launch)).toMatchObject({ products: 'int8' });
  expect(fast.started()).toBe(1);
  expect(fast.killedBy()).toBe('SIGTERM');
});

it('leaves what gains little in f32', async () => {
  expect(await quickestProducts(TENSORFLOW, faked({ f32: 0.014, int8: 0.01 }).launch)).toMatchObject({
    products: 'f32',
  });
});

it.each(['ends', 'hangs', { f32: 0, int8: -1 }])(
  'stays with f32 and asks again where the process %o',
  async (answer) => {
    const failing = faked(answer);
    for (let n = 1; n <= 2; n++) {
      expect(await quickestProducts(TENSORFLOW, failing.launch, 20)).toEqual({ products: 'f32', times: 1 });
      expect(failing.started()).toBe(n);
    }
    if (answer === 'hangs') expect(failing.killedBy()).toBe('SIGKILL');
  },
);

it('measures nothing for engines that have no such products', async () => {
  const { launch, started } = faked({ f32: 3, int8: 1 });
  for (const engine of [
    { name: 'webgpu', kind: 'gpu' },
    { name: 'tensorflow', kind: 'gpu' },
    { name: 'wasm', kind: 'cpu' },
  ] as const)
    expect(await quickestProducts(engine, launch)).toMatchObject({ products: 'f32' });
  expect(started()).toBe(0);
});

it('is measured by the real process', async () => {
  const { times } = await quickestProducts(TENSORFLOW, forked);
  expect(times).toBeGreaterThanOrEqual(1);
  const [kept] = fs.readdirSync(path.join(work, 'products'));
  // a checksum of four bytes before it
  const { f32, int8 } = JSON.parse(fs.readFileSync(path.join(work, 'products', kept!)).subarray(4).toString()) as Record<string, number>; // prettier-ignore
  for (const seconds of [f32, int8]) expect(seconds).toBeGreaterThan(0);
  if (times > 1) expect(f32! / int8!).toBeCloseTo(times, 9);
});
