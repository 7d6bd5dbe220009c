import { noSoftwareGpu } from '../support/software-gpu.ts';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { CheckEvent, EngineReport } from '../../src-preload/contract/index.ts';
import { exitCodeOf } from '../../src-main/cli/doctor.ts';
import { forked, type Child, type Launch } from '../../src-main/engine/child.ts';
import type { Target } from '../../src-main/engine/devices/targets.ts';
import { adviceFor, type Findings } from '../../src-main/studio/doctor/advice.ts';
import { examineEngine } from '../../src-main/studio/doctor/examine-engine.ts';
import { examine } from '../../src-main/studio/doctor/examine.ts';
import { reportText } from '../../src-main/studio/doctor/report.ts';
import { scratchFolder } from '../support/scratch.ts';
import { TINY_MODEL } from '../trainer/support.ts';

const scratch = scratchFolder();
afterAll(() => scratch.remove());

const GPU: Target = {
  ...{ engine: 'webgpu', device: 'A card', kind: 'gpu', software: false, memoryBytes: 8e9, versions: {} },
  ask: { engine: 'webgpu', gpu: true },
};
const passed = { passed: true, reason: 'It came out right' };
const limits = { probe: 20, speeds: 20, steps: 20 };

/** Processes that are really started, and do what a source says when they are asked `asked`. `tell(message)`: to whoever started it. */
let programs = 0;
const instead = (
  onSteps: string,
  onProbe = `tell(${JSON.stringify(passed)})`,
): { launch: Launch; children: Child[] } => {
  const file = path.join(scratch.folder, `engine-${++programs}.mjs`);
  const speeds = { productGflops: 900, bandwidthGBs: 400 };
  fs.writeFileSync(
    file,
    `const tell = (message) => new Promise((resolve) => process.send(message, resolve));
     const found = (found) => tell({ kind: 'found', found });
     const steps = (...seconds) => found({ seconds, predictedBytes: 1e9, measuredBytes: 1.1e9 });
     setInterval(() => {}, 1000);
     process.on('message', async (asked) => {
       if (!asked.what) { ${onProbe} }
       if (asked.what === 'targets') process.exit(3);
       if (asked.what === 'speeds') { await found(${JSON.stringify(speeds)}); await tell({ kind: 'done' }); }
       if (asked.what === 'steps') { ${onSteps} }
     });`,
  );
  const children: Child[] = [];
  return { launch: (_, options) => children[children.push(forked(file, options)) - 1]!, children };
};
const examined = (onSteps: string, onProbe?: string, more: object = {}) =>
  examineEngine(GPU, { launch: instead(onSteps, onProbe).launch, model: 'a model', limits, ...more }, () => {});

describe('an engine that is checked', () => {
  it('is told of with its speed, its steps without the first, and its memory', async () => {
    const report = await examined("await steps(9, 2, 4); await tell({ kind: 'done' });");
    expect(report).toMatchObject({
      ...{ name: 'webgpu', device: 'A card', productGflops: 900, bandwidthGBs: 400, notes: [] },
      ...{ predictedBytes: 1e9, measuredBytes: 1.1e9, steps: { done: 3, rows: 4, length: 256, blocks: null } },
    });
    expect(report.tokensPerSecond).toBeCloseTo((4 * 256) / 3);
  });

  it('that crashes in a step is a sentence, with what it had done until then', async () => {
    const crash = "await steps(2); console.error('NVRM: Xid 31'); process.kill(process.pid, 'SIGSEGV');";
    const report = await examined(crash);
    expect(report.notes).toEqual([
      '1 of 3 training steps were done. WebGPU ended (SIGSEGV) when it was to train: NVRM: Xid 31.',
    ]);
    expect([report.probe.passed, report.tokensPerSecond]).toEqual([true, 512]);
  });

  it('that hangs is ended after its time, and is a sentence', async () => {
    const { launch, children } = instead("process.on('SIGTERM', () => {});");
    const report = await examineEngine(GPU, { launch, model: 'a model', limits: { ...limits, steps: 0.3 } }, () => {});
    expect(report.notes).toEqual([
      '0 of 3 training steps were done. WebGPU gave no answer within 0.3 seconds when it was to train.',
    ]);
    expect(report).toMatchObject({ tokensPerSecond: null, measuredBytes: null, steps: null, productGflops: 900 });
    for (const { processId } of children) await expect.poll(() => isThere(processId!)).toBe(false);
  });

  it('that would compute on the processor under a GPU’s name does not pass', async () => {
    const target: Target = { ...GPU, engine: 'tensorflow', ask: { engine: 'tensorflow', gpu: true, uuid: 'GPU-bbbb' } };
    const report = await examineEngine(target, { launch: forked }, () => {});
    expect(report.probe).toMatchObject({
      passed: false,
      reason: 'It started, but on the processor: it does not see the GPU',
    });
    expect(report).toMatchObject({ productGflops: null, tokensPerSecond: null });
  });

  it('that falls to the processor only when it trains says so', async () => {
    const falls =
      "await tell({ kind: 'failed', reason: 'It started, but on the processor: it does not see the GPU' });";
    expect((await examined(falls)).notes).toEqual([
      '0 of 3 training steps were done. It started, but on the processor: it does not see the GPU.',
    ]);
  });

  it('says what it was not asked for, and why', async () => {
    expect((await examined('', undefined, { model: undefined })).notes).toEqual([
      'No steps were measured: the default model is not here, npm start fetches it.',
    ]);
    const missing = await examineEngine({ ...GPU, ask: 'No Vulkan driver' }, { launch: forked }, () => {});
    expect(missing.probe).toEqual({ passed: false, reason: 'No Vulkan driver', seconds: 0 });
  });
});

it.skipIf(noSoftwareGpu)('WebGPU is measured for real, its memory as its device counts it', async () => {
  const target: Target = { ...GPU, kind: 'cpu', software: true };
  const report = await examineEngine(target, { launch: forked, model: TINY_MODEL }, () => {});
  expect(report.probe.reason).toBe('A product, a softmax and a gradient came out right on it');
  expect(report).toMatchObject({ steps: { done: 3, rows: 1, length: 8, blocks: 2 } });
  expect(report.notes).toEqual(['It is slow, so the steps are of 8 tokens through the model’s first 2 blocks.']);
  for (const figure of [report.productGflops, report.bandwidthGBs, report.tokensPerSecond])
    expect(figure).toBeGreaterThan(0);
  // Far less than any process has resident.
  expect(report.measuredBytes).toBeGreaterThan(100e3);
  expect(report.measuredBytes).toBeLessThan(20e6);
});

describe('a machine that is checked', () => {
  it('where every engine’s process dies has a report all the same, and no engine', async () => {
    const { launch } = instead('', 'process.exit(4)');
    const events: CheckEvent[] = [];
    for await (const event of examine({ launch, limits })) events.push(event);
    const end = events.at(-1)!;
    if (end.kind !== 'done') throw new Error(end.kind);
    expect(end.report.chosen).toBe(null);
    expect(end.report.engines.map(({ name, probe }) => [name, probe.reason])).toEqual([
      ['tensorflow', 'TensorFlow ended (code 3) when it was asked for its devices'],
      ['wasm', 'WebAssembly ended (code 4) when it was tried'],
      ['cpu', 'JavaScript ended (code 4) when it was tried'],
      ['webgpu', 'WebGPU ended (code 3) when it was asked for its devices'],
    ]);
    expect(end.report.advice[0]).toMatch(/^No engine passed/);
    expect(exitCodeOf(end.report)).toBe(2);
    expect(events.filter(({ kind }) => kind === 'engine')).toHaveLength(4);
    for (const { reason } of end.report.engines.map(({ probe }) => probe)) expect(end.text).toContain(reason);
  });

  it('can be cancelled, which ends the process that is at work', async () => {
    const { launch, children } = instead('', 'await new Promise(() => {})');
    const cancelled = new AbortController();
    const events: CheckEvent[] = [];
    for await (const event of examine({ launch, limits, signal: cancelled.signal })) {
      events.push(event);
      if (event.kind === 'doing' && event.what.startsWith('Trying wasm')) cancelled.abort();
    }
    expect(events.filter(({ kind }) => kind === 'done')).toEqual([]);
    for (const { processId } of children) await expect.poll(() => isThere(processId!)).toBe(false);
  });
});

describe('advice', () => {
  const engine = (changes: Partial<EngineReport>): EngineReport => ({
    ...{ name: 'tensorflow', device: 'A processor', kind: 'cpu', memoryBytes: 16e9, versions: {}, notes: [] },
    ...{ productGflops: 50, bandwidthGBs: 20, steps: { done: 3, rows: 2, length: 128, blocks: null } },
    ...{ probe: { passed: true, reason: 'Right', seconds: 1 }, tokensPerSecond: 100, predictedBytes: 1e9 },
    ...{ measuredBytes: 1e9, ...changes },
  });
  const failed = { probe: { passed: false, reason: 'Wrong', seconds: 1 }, tokensPerSecond: null, steps: null };
  const card = { name: 'NVIDIA GeForce RTX 4090', vendor: 'nvidia', memoryBytes: 24e9, driver: '570.133.07' };
  const webgpu = engine({ name: 'webgpu', kind: 'gpu', device: card.name, tokensPerSecond: 9000 });
  const cuda = engine({ ...failed, kind: 'gpu', device: card.name });
  const machine = (found: Partial<Findings>): Findings => ({
    ...{ platform: 'linux 6 x64', processor: 'A processor', cores: 8, memoryBytes: 32e9, model: 'A model' },
    ...{ gpus: [], engines: [engine({})], chosen: 'tensorflow', nvidiaDriver: false, ...found },
  });

  it.each<[string, Partial<Findings>, string[]]>([
    ['no GPU', {}, ['which takes tensorflow on A processor; it trains 100 tokens', 'No GPU was found']],
    ['a driver without a GPU', { nvidiaDriver: true }, ['which takes tensorflow', 'give the container one']],
    [
      'a GPU without its driver',
      { gpus: [{ ...card, driver: undefined }], engines: [engine({}), engine({ ...failed, name: 'webgpu' })] },
      ['which takes tensorflow', 'install NVIDIA’s driver, 525 or newer', 'WebGPU does not run on NVIDIA GeForce'],
    ],
    [
      'a driver that is too old',
      { gpus: [{ ...card, driver: '470.1' }] },
      ['takes tensorflow', '470.1 is too old for CUDA 12'],
    ],
    [
      'a card too new for CUDA',
      { gpus: [{ ...card, computeCapability: '12.0' }], engines: [cuda, webgpu, engine({})], chosen: 'webgpu' },
      [
        'which takes webgpu on NVIDIA GeForce RTX 4090; it trains 9000',
        'has compute capability 12.0, and TensorFlow’s CUDA was built for up to 9.0: take webgpu',
      ],
    ],
    [
      'a GPU slower than another engine',
      { gpus: [card], engines: [{ ...cuda, ...engine({ kind: 'gpu' }) }, webgpu] },
      ['which takes tensorflow', 'webgpu was 90.0 times as fast'],
    ],
    [
      'steps that take more than planned, beside a run',
      { engines: [engine({ measuredBytes: 1.5e9 })], beside: 'A run was training.' },
      ['which takes tensorflow', 'No GPU', 'took 1.5 times the memory', 'A run was training.'],
    ],
  ])('for %s', (_, found, sentences) => {
    const advice = adviceFor(machine(found));
    expect(advice).toHaveLength(sentences.length);
    advice.forEach((line, i) => expect(line).toContain(sentences[i]!));
  });

  it('stands in the report that can be copied, with every figure', () => {
    const { nvidiaDriver, ...found } = machine({ gpus: [{ ...card, freeBytes: 20e9 }], engines: [webgpu] });
    const advice = adviceFor({ ...found, nvidiaDriver });
    const text = reportText({ ...found, node: 'v20', advice, seconds: 61 });
    for (const told of [
      ...advice,
      '24.00 GB, 20.00 GB free, driver 570.133.07',
      'f32 product 50.0 GFLOPS, memory 20.0 GB/s',
      '3 training steps of 2 x 128 tokens: 9000.0 tokens/s',
      '1.00 GB predicted, 1.00 GB measured',
    ])
      expect(text).toContain(told);
  });
});

const isThere = (processId: number) => {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
};
