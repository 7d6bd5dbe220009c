import { execFile, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TINY_SHAPES } from '../bench/webgpu-peer.ts';
import { findDriver } from '../support/drivers.ts';
import { python } from '../support/python.ts';
import { scratchFolder } from '../support/scratch.ts';
import { root } from './bundle.ts';
import { buildKit, checkSize, MOST_BYTES } from './build.ts';
import { runProgram } from './child.ts';
import type { Facts } from './facts.ts';
import type { Report } from './report.ts';
import { missingPeer, ourSteps, peerSteps, shapesFor } from './steps.ts';

/** What a machine of any Linux has, and nothing of this checkout's. */
const BARE = { PATH: '/usr/bin:/bin' };
const lavapipe = findDriver('lavapipe');
const noLavapipe = 'missing' in lavapipe ? lavapipe.missing : undefined;

/** The kit runs many tests, one after the other: as long as the longest of these have. */
const PATIENCE_MS = 1_800_000;

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('the kit for a machine with a GPU', () => {
  const { folder, remove } = scratchFolder();
  afterAll(remove);
  const kit = path.join(folder, 'kit');
  let bytes: number;
  beforeAll(async () => void (bytes = await buildKit(kit)));

  /** The only report that is there, and the same to be read. */
  function theReport() {
    const reports = readdirSync(kit).filter((file) => file.startsWith('report-'));
    const [json, text] = ['.json', '.md'].map((end) => reports.filter((file) => file.endsWith(end)));
    expect([json!.length, text!.length, reports.length]).toEqual([1, 1, 2]);
    const read = (file: string) => readFileSync(path.join(kit, file), 'utf8');
    return { report: JSON.parse(read(json![0]!)) as Report, text: read(text![0]!), files: reports };
  }

  it('is small enough to be carried, and its archive holds Node, Dawn and programs, nothing of other systems', () => {
    expect(readdirSync(kit).sort()).toEqual(['README.txt', 'kit.tar.gz', 'run.sh']);
    const sizes = readdirSync(kit).map((file) => statSync(path.join(kit, file)).size);
    expect(bytes).toBe(sizes.reduce((sum, size) => sum + size));
    expect(bytes).toBeLessThan(60_000_000);
    expect(bytes).toBeGreaterThan(40_000_000); // Node alone is 35 MB
    const names = execFileSync('tar', ['-tzf', path.join(kit, 'kit.tar.gz')])
      .toString()
      .split('\n');
    expect(names).toEqual(expect.arrayContaining(['./node', './licences/node.txt', './licences/dawn.txt']));
    expect(names.filter((name) => name.endsWith('.node'))).toEqual(['./node_modules/webgpu/dist/linux-x64/dawn.node']);
    expect(names.filter((name) => name.endsWith('.ts'))).toEqual([]);
  });

  it('is refused where it is larger', () => {
    expect(() => checkSize(MOST_BYTES)).not.toThrow();
    expect(() => checkSize(MOST_BYTES + 1e5)).toThrow(/takes 60\.1 MB, and 60 MB is the most/);
  });

  it('ends at Ctrl-C with what was found until then, and says where there is no GPU', async () => {
    const env = { ...BARE, VK_ICD_FILENAMES: '/there-is-no-driver.json' };
    const run = spawn('./run.sh', { cwd: kit, env, stdio: ['ignore', 'ignore', 'pipe'] });
    run.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('effilora doctor')) run.kill('SIGINT');
    });
    expect(await new Promise((resolve) => run.once('close', resolve))).toBe(130);
    const { report, text, files } = theReport();
    expect(report).toMatchObject({ interrupted: true, tests: [], kernels: [], steps: [] });
    expect(report.problems).toEqual([expect.stringMatching(/^The GPU: It ended with code 1\. Error: The GPU driver offers no GPU/)]); // prettier-ignore
    expect(text).toContain('# No GPU that WebGPU can use');
    expect(text).toContain('Interrupted');
    execFileSync('rm', files, { cwd: kit });
  });

  it.skipIf(noLavapipe)(
    `measures lavapipe without this checkout${noLavapipe ? `: ${noLavapipe}` : ''}`,
    async () => {
      const { file } = lavapipe as { file: string };
      const env = { ...BARE, VK_ICD_FILENAMES: file, EFFILORA_WEBGPU: 'software', KIT_PYTHON: await python() };
      const began = Date.now();
      await promisify(execFile)(path.join(kit, 'run.sh'), ['--small'], { cwd: '/', env });
      const wall = (Date.now() - began) / 1000;
      const { report, text } = theReport();
      const { facts, doctor, problems, tests, limits, kernels, steps, peerMissing, seconds } = report;

      expect(problems).toEqual([]);
      expect(facts).toMatchObject({ device: expect.stringMatching(/^llvmpipe/), software: true });
      expect(doctor!.engines.find(({ name }) => name === 'webgpu')!.probe).toMatchObject({ passed: true });
      // SmolLM2's shape: of its steps those that doctor takes on slow devices.
      for (const engine of ['webgpu', 'wasm']) {
        const { steps: taken, tokensPerSecond, predictedBytes, measuredBytes } = doctor!.engines.find(({ name }) => name === engine)!; // prettier-ignore
        expect({ engine, taken }).toEqual({ engine, taken: { done: 3, rows: 1, length: 8, blocks: 2 } });
        expect(tokensPerSecond).toBeGreaterThan(0);
        expect(Math.min(predictedBytes!, measuredBytes!)).toBeGreaterThan(2 ** 24);
      }
      expect(text).toContain('its weights are zeros');
      expect(seconds / wall).toBeGreaterThan(0.8);

      const vitest = path.join(root, 'node_modules/.bin/vitest');
      const listed = execFileSync(vitest, ['list', '--project=lavapipe', '--json'], { cwd: root }).toString();
      // Of a name only what it runs on is another here.
      const plain = (name: string) => name.replace(/(on |, )(lavapipe|the GPU here)/, '$1it');
      const results = tests.flatMap((each) => each.results);
      const expected = (JSON.parse(listed) as { name: string }[]).map(({ name }) => plain(name));
      expect(results.map(({ name }) => plain(name)).sort()).toEqual(expected.sort());
      const skipped = results.filter(({ state }) => state !== 'passed');
      expect(new Set(skipped.map(({ state }) => state))).toEqual(new Set(['skipped']));
      // Files run in the order of how long they took before, which is another on each machine.
      expect(skipped.map(({ reason }) => reason).sort()).toEqual([
        'It compares with TensorFlow, which is not in the kit',
        ...Array.from({ length: 2 }, () => 'It is about software GPUs'),
        expect.stringMatching(/^llvmpipe.* lists no matrices of a subgroup$/),
      ]);
      expect(text).toContain(`${results.length - 4} passed, 0 failed, 4 skipped.`);

      expect(limits.map(({ limit }) => limit)).toEqual(['bytes', 'f32', 'f16', 'int8']);
      for (const { limit, perSecond, share } of kernels)
        expect(share).toBeCloseTo(perSecond / limits.find((each) => each.limit === limit)!.perSecond, 9);
      // two formats in four kinds, attention both ways, five passes
      expect(kernels.length).toBe(2 * 4 + 2 + 5);
      expect(kernels.every(({ perSecond }) => perSecond > 0 && perSecond < Infinity)).toBe(true);

      expect(steps.map(({ precision }) => precision)).toEqual(['f32', 'bf16', 'f32', 'bf16']);
      for (const { side, rows, length, secondsAStep, tokensPerSecond, peakBytes } of steps) {
        expect(side).toBe('EffiLoRA Studio');
        expect(tokensPerSecond! * secondsAStep!).toBeCloseTo(rows * length, 6);
        expect(peakBytes).toBeGreaterThan(2 ** 18);
      }
      expect(peerMissing).toBe(`In ${env.KIT_PYTHON} PyTorch finds no CUDA device: nothing was measured beside ours.`);
    },
    PATIENCE_MS,
  );
});

it('a Python without PyTorch is a sentence, and so is a program that hangs or fails', async () => {
  expect(await missingPeer('/there-is-no-python')).toMatch(/^In \/there-is-no-python there is no PyTorch/);
  const node = (text: string, seconds = 60) => runProgram(process.execPath, ['-e', text], { seconds });
  expect(await node('console.log("{}"); setInterval(() => {}, 1e6)', 1)).toEqual({
    ...{ lines: [{}], problem: 'It had not ended after 1 seconds.' },
  });
  expect(await node('throw new RangeError("too far")')).toMatchObject({
    problem: 'It ended with code 1. RangeError: too far',
  });
  expect(await node('process.kill(process.pid, "SIGSEGV")')).toMatchObject({ problem: 'It ended with SIGSEGV.' });
});

it('PyTorch is asked for the same shapes, and says where it has no device', async () => {
  const [shape] = TINY_SHAPES;
  expect(await peerSteps(shape!, 'f32', await python())).toEqual({
    ...{ model: 'a tiny model', rows: 1, length: 32, precision: 'f32', side: 'PyTorch and PEFT' },
    problem: 'It found no CUDA device.',
  });
});

it('a shape that the device has no room for is skipped, with the figures', async () => {
  const seven = shapesFor({ software: false }, false).at(-1)!;
  const facts = { software: false, deviceBytes: 24 * 2 ** 30, freeBytes: 2 ** 31 } as Facts;
  // 7 billion numbers in 4.5 bits are 3.5 GiB
  expect((await ourSteps(seven, 'f32', facts)).problem).toMatch(/^Skipped: it takes [4-7]\.\d GiB, and 2\.0 GiB/);
});
