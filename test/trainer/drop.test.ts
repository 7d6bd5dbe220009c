import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDataset, type PreparedExample } from '../../src-main/data/dataset.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { NamedTensor } from '../../src-main/effilora/types.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { adapterOnModel, readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { dropCurve, headsToDrop, withoutHeads } from '../../src-main/trainer/drop.ts';
import { language } from '../../src-main/tasks/language/index.ts';
import { headEffects, lossWithout } from '../../src-main/trainer/head-effects.ts';
import { meanLoss } from '../../src-main/tasks/language/evaluation.ts';
import { readingOptions } from '../../src-main/data/reading-options.ts';
import type { StoredAdapter } from '../../src-main/trainer/stored-adapter.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { temporary, TINY_MODEL, writeTokens } from './support.ts';

const work = temporary('drop');
const HEADS = 3;

let model: CausalLM;
let examples: PreparedExample[];
let stored: StoredAdapter;
/** one head of every site, the least important of all, another one from site to site */
let least: string[];

beforeAll(async () => {
  await openEngine('wasm');
  const file = await openTextModel(TINY_MODEL);
  model = await loadCausalLM(file);
  const dataset = { path: writeTokens(path.join(work, 'data.jsonl'), 12) };
  examples = (await readDataset(dataset, 0, readingOptions(file))).examples;
  await file.close();
  await writeRandomAdapter(work, TINY_MODEL, { strength: 2 });
  stored = await readAdapter(work);
  const { heads } = stored.description;
  least = Object.keys(heads).filter((_, index) => index % HEADS === Math.floor(index / HEADS) % HEADS);
  for (const name of least) heads[name]!.importance /= 1e6;
});
afterAll(() => model.dispose());

/** The loss with an adapter of these tensors and so many heads, none of them dropped. */
async function lossWith(tensors: NamedTensor[], heads = HEADS): Promise<number> {
  const adapter = new Adapter(model.sites(), { ...stored.description.method, heads }, 0);
  adapter.import(tensors);
  const { loss } = await meanLoss(model, examples, adapter);
  adapter.dispose();
  return loss;
}

const dropsOf = (name: string) =>
  least.filter((head) => name.startsWith(`layers.${head.split('.').slice(0, 2).join('.')}.`));
const isDropped = (name: string, head: number) => dropsOf(name)[0]?.endsWith(`.${head}`) ?? false;

/** The tensors, with what belongs to each head changed, or left out. */
const byHead = (change: (part: Float32Array, name: string, head: number) => Float32Array[]) =>
  stored.tensors.map((tensor) => {
    if (!/\.(B|router)$/.test(tensor.name)) return tensor;
    const size = tensor.data.length / HEADS;
    const parts = Array.from({ length: HEADS }, (_, head) =>
      change(tensor.data.slice(head * size, (head + 1) * size), tensor.name, head),
    ).flat();
    const data = Float32Array.from(parts.flatMap((part) => [...part]));
    return { ...tensor, data, shape: [parts.length, ...tensor.shape.slice(1)] };
  });

describe('the loss without the least important third of the heads', () => {
  const measured = async (renormalize: boolean) => {
    const adapter = adapterOnModel(stored, model, work);
    const whole = (await meanLoss(model, examples, adapter)).loss;
    const [point] = await dropCurve(() => meanLoss(model, examples, adapter), adapter, stored.description, [1 / 3], {
      renormalize,
    });
    const after = (await meanLoss(model, examples, adapter)).loss;
    adapter.dispose();
    const pruned = withoutHeads(stored, new Set(least), renormalize);
    const small = adapterOnModel(pruned, model, work);
    const { loss } = await meanLoss(model, examples, small);
    small.dispose();
    return { whole, point: point!, after, pruned: loss };
  };

  it('is that with their B zero', async () => {
    const expected = await lossWith(
      byHead((part, name, head) => [name.endsWith('.B') && isDropped(name, head) ? part.fill(0) : part]),
    );
    const { whole, point, after, pruned } = await measured(false);
    expect(point).toMatchObject({ dropped: least.length, tokens: expect.any(Number) as number });
    expect(point.loss).toBeCloseTo(expected, 5);
    expect(pruned).toBeCloseTo(expected, 5);
    expect(Math.abs(whole - expected)).toBeGreaterThan(1e-3);
    expect(after).toBe(whole);
  });

  it('renormalized is that of an adapter which never had them', async () => {
    const expected = await lossWith(
      byHead((part, name, head) => (isDropped(name, head) ? [] : [part])),
      HEADS - 1,
    );
    const { whole, point, after, pruned } = await measured(true);
    expect(point.loss).toBeCloseTo(expected, 5);
    expect(pruned).toBeCloseTo(expected, 5);
    expect(Math.abs(whole - expected)).toBeGreaterThan(1e-3);
    expect(after).toBe(whole);
  });
});

describe('what each head does', () => {
  it('to first order is the slope of the loss as its B shrinks, by finite differences; its share is the mean of omega', async () => {
    const adapter = adapterOnModel(stored, model, work);
    const batches = language.evaluated(examples);
    const { loss, rises, shares } = await headEffects(language.objective(model), adapter, batches);
    expect(loss).toBeCloseTo((await meanLoss(model, examples, adapter)).loss, 5);
    const omega = new Float64Array(adapter.heads.length);
    for (const example of examples) {
      adapter.observeRouter = ({ block, site }, seen) => {
        // Behind the example's own rows lies padding.
        const rows = seen.arraySync().slice(0, example.inputIds.length);
        const first = adapter.heads.indexOf(`${block}.${site}.0`);
        rows.forEach((row) => row.forEach((part, head) => (omega[first + head]! += part)));
      };
      await meanLoss(model, [example], adapter);
    }
    adapter.observeRouter = undefined;
    const tokens = examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    adapter.heads.forEach((_, head) => expect(shares[head]).toBeCloseTo(omega[head]! / tokens, 5));
    const without = await lossWithout(least[0]!, () => meanLoss(model, examples, adapter), adapter, stored.description);
    const only = (head: string, scale: number) =>
      byHead((part, name, at) => [
        head === `${/layers\.(.+)\.B/.exec(name)?.[1] ?? ''}.${at}` ? part.map((value) => value * scale) : part,
      ]);
    expect(without).toBeCloseTo(await lossWith(only(least[0]!, 0)), 5);
    adapter.dispose();
    const eps = 0.05;
    for (const head of [adapter.heads[0]!, adapter.heads[10]!, adapter.heads[17]!]) {
      const slope = ((await lossWith(only(head, 1 - eps))) - (await lossWith(only(head, 1 + eps)))) / (2 * eps);
      const rise = rises[adapter.heads.indexOf(head)]!;
      expect(Math.abs(rise - slope), head).toBeLessThan(0.02 * Math.max(...rises.map(Math.abs)));
    }
    expect(Math.max(...rises.map(Math.abs))).toBeGreaterThan(1e-3);
  });
});

describe('the heads to drop', () => {
  const heads = (importance: number[], dropped: number[] = []) => ({
    heads: Object.fromEntries(
      importance.map((value, j) => [
        `0.q_proj.${j}`,
        { importance: value, frozenSince: null, dropped: dropped.includes(j) },
      ]),
    ),
  });
  const numbers = (names: Set<string>) => [...names].map((name) => Number(name.split('.')[2])).sort();

  it('are the least important, at a tie the first, and floor(ratio * heads) of them', () => {
    expect(numbers(headsToDrop(heads([4, 1, 2, 1, 1]), 0.4))).toEqual([1, 3]);
    expect(numbers(headsToDrop(heads([4, 1, 2, 1, 1]), 0.79))).toEqual([1, 3, 4]);
    // In binary 0.3 * 10 is a little less than 3.
    expect(headsToDrop(heads([9, 8, 7, 6, 5, 4, 3, 2, 1, 10]), 0.3).size).toBe(3);
  });

  it('are first those that are gone already', () => {
    expect(numbers(headsToDrop(heads([4, 1, 2, 3, 5], [4]), 0.4))).toEqual([1, 4]);
    expect(numbers(headsToDrop(heads([4, 1, 2, 3, 5], [0, 4]), 0))).toEqual([0, 4]);
  });

  it('in random order repeat with their seed, and need no importance', () => {
    const none = heads(new Array<number>(20).fill(0));
    const some = (seed: number) => numbers(headsToDrop(none, 0.5, { by: 'random', seed }));
    expect(some(1)).toEqual(some(1));
    expect(some(1)).not.toEqual(some(2));
    expect(some(1)).toHaveLength(10);
    expect(() => headsToDrop(none, 0.5)).toThrow(/No importance was measured/);
  });

  it('are refused by name where the adapter has none of that name', () => {
    expect(() => withoutHeads(stored, new Set(['7.q_proj.0']), false)).toThrow(/no head 7\.q_proj\.0/);
  });
});
