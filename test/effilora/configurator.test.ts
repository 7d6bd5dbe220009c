import { describe, expect, it } from 'vitest';
import { propose } from '../../src-main/effilora/configurator.ts';
import { fewExamples, parametersReason } from '../../src-main/effilora/proposal-words.ts';
import type { DataFacts } from '../../src-main/effilora/proposal.ts';
import {
  memoryPlan,
  recomputationFor,
  type EngineFacts,
  type ModelFacts,
  type RunShape,
} from '../../src-main/effilora/memory-plan.ts';
import { data, engine, GiB, model, widths } from './plan-facts.ts';
import { linear, options } from './support.ts';

const plan = (memoryBytes: number, seconds?: number, changes: Partial<DataFacts> = {}) =>
  propose(model, { ...data, ...changes }, { memoryBytes, seconds }, engine);

describe('the memory plan', () => {
  const run: RunShape = {
    method: options({ targets: Object.keys(widths), rank: 16 }),
    precision: 'f32',
    products: 'f32',
    sequenceLength: 256,
    tokens: 1024,
    recompute: true,
    evaluationTokens: 0,
  };

  it('adds up its parts, and each answers to what it depends on', () => {
    const plan = memoryPlan(model, engine, run);
    const { total, ...parts } = plan;
    expect(Object.values(parts).reduce((a, b) => a + b)).toBeCloseTo(total, 0);
    expect(plan.frozenWeights).toBe(4 * model.parameters);
    expect(memoryPlan(model, engine, { ...run, precision: 'bf16' }).frozenWeights).toBe(2 * model.parameters);
    // shared A [16, 576] and [16, 1536]; 30 layers * 3 heads * (16 * outputs + inputs of 7 sites)
    const numbers = 16 * (576 + 1536) + 30 * 3 * (16 * (576 * 3 + 192 * 2 + 1536 * 2) + (576 * 6 + 1536));
    expect(plan.adapter).toBe(4 * numbers);
    expect(memoryPlan(model, engine, { ...run, tokens: 2048 }).activations).toBeCloseTo(2 * plan.activations, 0);
    expect(memoryPlan(model, engine, { ...run, recompute: false }).activations).toBeGreaterThan(5 * plan.activations);
    const composed = memoryPlan(model, { ...engine, fusedAttention: false }, { ...run, sequenceLength: 2048 });
    expect(composed.activations).toBeGreaterThan(
      2 * memoryPlan(model, engine, { ...run, sequenceLength: 2048 }).activations,
    );
  });

  it('counts evaluations and answers where they take more than a step keeps', () => {
    const most = (evaluationTokens: number) => memoryPlan(model, engine, { ...run, evaluationTokens });
    expect(most(1024).transient).toBe(memoryPlan(model, engine, run).transient);
    // 8 times as many tokens need at least x, gate, up and their product of a block in f32, without which the step's part is less
    const { activations, transient } = most(8 * 1024);
    expect(activations + transient).toBeGreaterThan(4 * 8 * 1024 * (576 + 3 * 1536));
    // 2 x 2 x 8192 tokens of 3 heads of 64 in f32 in every layer
    const long = memoryPlan(model, engine, { ...run, sequenceLength: 8192, evaluationTokens: 64 });
    expect(long.transient).toBe(4 * 4 * 8192 * 3 * 64 * 30);
  });
});

describe('recomputation left to the budget', () => {
  const run: RunShape = {
    method: options({ targets: Object.keys(widths), rank: 16 }),
    precision: 'bf16',
    products: 'f32',
    sequenceLength: 1024,
    tokens: 2048,
    recompute: false,
    evaluationTokens: 0,
  };
  const needs = (changes: Partial<RunShape>) => memoryPlan(model, engine, { ...run, ...changes }).total;

  it('is none where all fits, and else of so many blocks together as keep least', () => {
    const whole = needs({});
    expect(recomputationFor(model, engine, run, whole)).toBe(false);
    expect(recomputationFor(model, engine, run, whole - 1)).toBe(1);
    // bf16 halves what is in a block and not its input, so fewer inputs are worth more
    const low = { ...run, products: 'bf16' as const };
    expect(recomputationFor(model, engine, low, 1)).toBe(2);
    const totals = [1, 2, 3, 4].map((recompute) => needs({ products: 'bf16', recompute }));
    expect(Math.min(...totals)).toBe(totals[1]);
  });
});

describe('the Configurator', () => {
  it.each([
    [135e6, 1000, 2e-3],
    [270e6, 1000, 1e-3],
    [270e6, 60, 5e-4],
    [1.08e9, 1000, 5e-4],
    [6.74e9, 1000, 2e-4],
  ])('proposes for %d parameters and %d examples the rate %d, and says why', (parameters, examples, rate) => {
    const { training, reasons } = propose(
      { ...model, parameters },
      { ...data, examples },
      { memoryBytes: 64 * GiB },
      engine,
    );
    expect(training.learningRate).toBe(rate);
    const { text } = reasons.find(({ choice }) => choice === 'learningRate')!;
    expect([text.includes('as few are learned by heart'), text.includes('the larger a model')]).toEqual([
      examples < 200,
      parameters > 150e6,
    ]);
  });

  it('takes the best of everything where memory is ample, with a sentence for each choice', () => {
    const { method, training, fits, warnings, reasons } = plan(64 * GiB);
    expect(training).toMatchObject({
      sequenceLength: 320,
      batch: 8,
      accumulate: 1,
      precision: 'f32',
      recompute: false,
    });
    expect(method).toMatchObject({ name: 'effilora', rank: 32, heads: 1, targets: Object.keys(widths) });
    expect(training).toMatchObject({ learningRate: 2e-3, schedule: 'cosine', patience: 0 });
    // 8 examples a step, 3 epochs; heads freeze from two thirds of the 375 steps, and are chosen anew after 15 % of them
    expect(method.reducer).toEqual({ ratio: 0.6, warmup: 250, interval: 56 });
    expect(training.steps).toBe(3 * Math.ceil(1000 / 8));
    expect([fits, warnings]).toEqual([true, []]);
    for (const { text } of reasons) expect(text).toMatch(/^[A-Z0-9].*\.$/);
    expect(reasons.map(({ choice }) => choice)).toEqual(
      expect.arrayContaining([
        'heads',
        'sequenceLength',
        'rank',
        'parameters',
        'learningRate',
        'precision',
        'targets',
        'batch',
        'recompute',
        'steps',
      ]),
    );
  });

  it('gives up nothing before recomputing; then micro-batch, targets, precision, rank, and the length last', () => {
    const seen: string[] = [];
    let worst = Infinity;
    for (let bytes = 8 * GiB; bytes > 0.5 * GiB; bytes -= GiB / 256) {
      const { method, training, memory, fits } = plan(bytes);
      if (!fits) break;
      expect(memory.total).toBeLessThanOrEqual(bytes);
      // as digits: what is settled first weighs most
      const score = [
        training.sequenceLength / 64,
        method.rank,
        training.precision === 'f32' ? 1 : 0,
        method.targets.length,
        training.batch,
        training.recompute ? 0 : 1,
      ].reduce((sum, digit) => sum * 20 + digit, 0);
      expect(score).toBeLessThanOrEqual(worst);
      worst = score;
      const now = JSON.stringify([training.recompute, training.batch]);
      if (seen.at(-1) !== now) seen.push(now);
    }
    expect(seen.slice(0, 4)).toEqual(['[false,8]', '[1,8]', '[1,4]', '[1,2]']);
  });

  it('says by how much a budget is too small, and what to change', () => {
    const tiny = plan(0.3 * GiB);
    expect(tiny.fits).toBe(false);
    expect(tiny.warnings[0]).toMatch(
      /The least that SmolLM2-135M needs is .*, the budget is 308 MiB: raise the memory by/,
    );
    const some = plan(0.85 * GiB);
    expect(some.fits).toBe(true);
    expect(some.warnings.join()).toMatch(/took its toll on .*: with .* nothing is given up/);
  });

  it('fits the steps to the time', () => {
    const free = plan(64 * GiB);
    const half = plan(64 * GiB, free.seconds / 2);
    expect(half.training.steps).toBe(Math.floor(free.training.steps / 2));
    expect(half.seconds).toBeLessThanOrEqual(free.seconds / 2);
    const short = plan(64 * GiB, free.seconds / 10);
    expect(short.warnings[0]).toMatch(/reaches for \d+ % of the examples: raise it to/);
    expect(plan(64 * GiB, 0.001).fits).toBe(false);
  });

  it('freezes whole layers where the time is short and they may, and has more steps in that time', () => {
    const free = plan(64 * GiB);
    const within = (seconds: number | undefined, mayFreezeLayers: boolean) =>
      propose(model, data, { memoryBytes: 64 * GiB, seconds, mayFreezeLayers }, engine);
    for (const seconds of [free.seconds / 2, free.seconds / 7, free.seconds / 50]) {
      const [with_, without] = [within(seconds, true), within(seconds, false)];
      expect(with_.method.reducer.policy).toBe('prefix');
      expect(without.method.reducer.policy).toBeUndefined();
      expect(with_.training.steps).toBeGreaterThanOrEqual(without.training.steps);
      expect(with_.seconds).toBeLessThanOrEqual(seconds);
    }
    // Two thirds of the steps have a backward pass of all blocks, the last third of 12 of 30: a tenth of the passes, less probing.
    const [with_, without] = [within(free.seconds / 2, true), within(free.seconds / 2, false)];
    expect(with_.training.steps / without.training.steps).toBeGreaterThan(1.05);
    expect(with_.training.steps / without.training.steps).toBeLessThan(1 / 0.9);
    expect(with_.reasons.find(({ choice }) => choice === 'steps')!.text).toMatch(/whole layers freeze/);
    expect(within(undefined, true)).toEqual(free);
    expect(within(free.seconds, true)).toEqual(free);
  });

  it('holds weights as their file has them where the engine can, and takes no form that is no smaller', () => {
    const able: EngineFacts = { ...engine, precisions: ['file', 'int8', 'int4'] };
    const precisionOf = (fileBytes: number, memoryBytes: number) =>
      propose({ ...model, fileBytes }, data, { memoryBytes }, able).training.precision;
    const quantized = 98e6; // Q4_1
    expect(precisionOf(quantized, 64 * GiB)).toBe('file');
    expect(precisionOf(quantized, 0.3 * GiB)).not.toBe('int8');
    const bfloats = 2 * model.parameters;
    expect(precisionOf(bfloats, 64 * GiB)).toBe('file');
    const method = options({ targets: Object.keys(widths) });
    const shape = { sequenceLength: 64, tokens: 64, recompute: true, evaluationTokens: 0 };
    const run = { method, products: 'f32' as const, ...shape };
    const bytes = (precision: 'file' | 'int8' | 'int4', fileBytes: number) =>
      memoryPlan({ ...model, fileBytes }, able, { ...run, precision }).frozenWeights;
    expect(bytes('file', quantized)).toBe(quantized);
    expect(bytes('int8', quantized)).toBe(quantized);
    expect(bytes('int4', bfloats)).toBeCloseTo((model.parameters * 18) / 32, 0);
  });

  it('never goes past the context of the model, and says that examples are cut', () => {
    const { training, warnings } = plan(64 * GiB, undefined, { p95Tokens: 20_000 });
    expect(training.sequenceLength).toBe(8192);
    expect(warnings.join()).toMatch(/longer than 8192 tokens are cut/);
  });
});

describe('what is trained, beside LoRA', () => {
  /** A family's sites by their widths, in so many layers. */
  const family = (layers: number, sites: Record<string, [number, number]>): ModelFacts => ({
    ...model,
    layers,
    sites: Array.from({ length: layers }, (_, layer) =>
      Object.entries(sites).map(([site, [inFeatures, outFeatures]]) => ({
        ...linear(layer, site),
        inFeatures,
        outFeatures,
      })),
    ).flat(),
  });
  const decoder = (hidden: number, inner: number, query: number, value: number): Record<string, [number, number]> => ({
    q_proj: [hidden, query],
    k_proj: [hidden, value],
    v_proj: [hidden, value],
    o_proj: [query, hidden],
    gate_proj: [hidden, inner],
    up_proj: [hidden, inner],
    down_proj: [inner, hidden],
  });
  const families: Record<string, ModelFacts> = {
    'SmolLM2-135M': model,
    // every head with keys and values of its own
    'Llama 2 7B': family(32, decoder(4096, 11008, 4096, 4096)),
    // one head of keys and values, wider than the model
    'Gemma 3 270M': family(18, decoder(640, 2048, 1024, 256)),
    'Qwen2.5 0.5B': family(24, decoder(896, 4864, 896, 128)),
    'one layer': family(1, decoder(64, 256, 64, 64)),
    'queries and values alone': family(2, { q_proj: [64, 64], v_proj: [64, 32] }),
  };

  it.each(Object.entries(families))('is never more than LoRA of its rank on its sites: %s', (_, facts) => {
    for (const memoryBytes of [0.1, 0.6, 0.8, 64].map((size) => size * GiB))
      for (const examples of [3, 100_000])
        for (const clusters of [1, 8]) {
          const { method, parameters } = propose(facts, { ...data, examples, clusters }, { memoryBytes }, engine);
          const sites = facts.sites.filter(({ site }) => method.targets.includes(site));
          const lora = sites.reduce((sum, { inFeatures, outFeatures }) => sum + method.rank * (inFeatures + outFeatures), 0); // prettier-ignore
          expect(parameters).toBeLessThanOrEqual(lora);
        }
  });

  it('is said as the share that it is', () => {
    const { reasons, method } = propose(families['queries and values alone']!, data, { memoryBytes: 64 * GiB }, engine);
    // in each of 2 layers B of 32 x (64 + 32) and routers of 2 x 64; one A of 32 x 64. LoRA: 2 x 32 x (64 + 64 + 64 + 32)
    const [trained, lora] = [2 * (32 * 96 + 128) + 32 * 64, 2 * 32 * 224];
    expect([method.rank, trained, lora]).toEqual([32, 8448, 14336]);
    expect(reasons.find(({ choice }) => choice === 'parameters')!.text).toBe(
      'Trains 8,448 numbers, 59 % of what LoRA of rank 32 would on the same sites.',
    );
    // asked for by hand: more may be had, and is said, too
    const many = parametersReason(families['queries and values alone']!, { ...method, heads: 4 });
    // 2 x (4 x 32 x 96 + 4 x 128) + 32 x 64 = 27,648
    expect(many).toBe('Trains 27,648 numbers, 193 % of what LoRA of rank 32 would on the same sites.');
  });
});

describe('few examples', () => {
  it('learn at half the rate and end where what is held out gains no more; many go on', () => {
    const told = [3, 199, 200, 1000].map((examples) => {
      const { patience, learningRate } = plan(64 * GiB, undefined, { examples }).training;
      return [patience, learningRate];
    });
    expect(told).toEqual([...Array<number[]>(2).fill([3, 1e-3]), ...Array<number[]>(2).fill([0, 2e-3])]);
  });

  it('are warned of, by what the run does about them', () => {
    expect(fewExamples(200, 3, true)).toBeUndefined();
    expect(fewExamples(60, 3, true)).toMatch(
      /^60 examples are few: seen 3 times, they may be learned by heart .* So the run ends where held-out examples gain no more/,
    );
    expect(fewExamples(60, 0.16, true)).toMatch(
      /^60 examples are few: even where not all are seen, they may be learned/,
    );
    expect(fewExamples(60, 1, false)).toMatch(/seen once, .* Hold some of them out and set patience/);
  });
});
