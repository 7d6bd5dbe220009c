import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import type { CurvePoint, LearnedHeads } from '../../src-preload/contract/index.ts';
import { cosines } from '../../src-main/effilora/similarity.ts';
import { trainerProcess } from '../../src-main/studio/runs/trainer-process.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { openTestStudio, untilStatus } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const model = join(scratch.folder, 'tiny');
const path = join(scratch.folder, 'tokens.jsonl');
let open: ReturnType<typeof openTestStudio>;
let id: string;

beforeAll(async () => {
  cpSync(TINY_MODEL, model, { recursive: true });
  writeTokens(path, 12);
  open = openTestStudio(scratch.folder, trainerProcess);
  await open.client.settings.set({ engine: 'wasm' });
  await writeRandomAdapter(join(scratch.folder, 'one'), model, { strength: 3 });
  id = (await open.client.adapters.import({ path: join(scratch.folder, 'one'), model })).id;
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

async function drained(events: AsyncIterable<unknown>): Promise<void> {
  const all = events[Symbol.asyncIterator]();
  while (!(await all.next()).done);
}

const RATIOS = [0, 0.5, 1];
const data = { path, examples: 12 };

async function curve(): Promise<CurvePoint[]> {
  const asked = { id, data, ratios: RATIOS, seeds: [1], renormalize: false };
  const { id: job } = await open.client.inspector.startCurve(asked);
  for await (const { state } of await open.client.jobs.follow({ id: job })) if (state === 'done') break;
  return (await open.client.inspector.curves({ id }))[0]!.points;
}
async function loss(adapter: string, heads: string[]): Promise<number> {
  const asked = { id: adapter, heads, data, prompt: '' };
  for await (const event of await open.client.inspector.probe(asked)) if (event.kind === 'loss') return event.loss;
  throw new Error('no loss');
}

describe('inspector', () => {
  it('measures a drop curve that agrees with the adapter, with its pruned file, and with the bare model', async () => {
    const points = await curve();
    expect(points.map(({ order, ratio, dropped }) => [order, ratio, dropped])).toEqual([
      ['importance', 0, 0],
      ['importance', 0.5, 9],
      ['importance', 1, 18],
      ['random', 0.5, 9],
    ]);
    const { heads } = await open.client.adapters.get({ id });
    const least = [...heads].sort((a, b) => a.importance - b.importance).map(({ name }) => name);
    const pruned = await open.client.adapters.prune({ id, name: 'half', heads: least.slice(0, 9) });
    expect(await loss(id, [])).toBeCloseTo(points[0]!.loss, 5);
    expect(await loss(pruned.id, [])).toBeCloseTo(points[1]!.loss, 5);
    // An adapter whose B are all zero changes nothing: the bare model.
    const zero = join(scratch.folder, 'zero');
    await writeRandomAdapter(zero, model, { strength: 0 });
    const bare = await open.client.adapters.import({ path: zero, model });
    expect(await loss(bare.id, [])).toBeCloseTo(points[2]!.loss, 5);
    expect(Math.abs(points[0]!.loss - points[2]!.loss)).toBeGreaterThan(0.05);
    expect(await open.client.inspector.curves({ id })).toMatchObject([{ data: 'tokens.jsonl', examples: 12, points }]);
  });

  it('says of every head what it does on the examples, and measures what is lost without some', async () => {
    let told: LearnedHeads | undefined;
    const seen: number[] = [];
    for await (const event of await open.client.inspector.learned({ id, data })) {
      if (event.kind === 'heads') told = event;
      else if (event.kind === 'progress') seen.push(event.done / event.total);
    }
    expect(seen).toEqual(Array.from({ length: 12 }, (_, at) => (at + 1) / 12));
    expect(told).toMatchObject({ name: 'tokens.jsonl', examples: 12 });
    const whole = await loss(id, []);
    expect(told!.loss).toBeCloseTo(whole, 4);
    const { heads } = await open.client.adapters.get({ id });
    expect(told!.heads.map(({ name }) => name)).toEqual(heads.map(({ name }) => name));
    const site = told!.heads.slice(3, 6);
    expect(site.reduce((sum, { share }) => sum + share!, 0)).toBeCloseTo(1, 4);
    const most = told!.heads.reduce((most, head) => (Math.abs(head.rise) > Math.abs(most.rise) ? head : most));
    const measured = [];
    for await (const event of await open.client.inspector.without({ id, data, heads: [most.name, '1.down_proj.2'] }))
      if (event.kind === 'without') measured.push(event);
    expect(measured.map(({ head }) => head)).toEqual([most.name, '1.down_proj.2']);
    expect(measured[0]!.loss).toBeCloseTo(await loss(id, [most.name]), 5);
    expect(measured[0]!.rise).toBeCloseTo(measured[0]!.loss - whole, 5);
    expect(Math.sign(measured[0]!.rise)).toBe(Math.sign(most.rise));
    const asked = { id, data, heads: ['9.q_proj.0'] };
    await expect(open.client.inspector.without(asked).then(drained)).rejects.toThrow(/has no head 9\.q_proj\.0/);
  });

  it('stops measuring where it is cancelled, keeps nothing half measured, and goes on with the next', async () => {
    const before = await open.client.inspector.curves({ id });
    const asked = { id, data, ratios: Array.from({ length: 101 }, (_, k) => k / 100), seeds: [1, 2, 3] };
    const { id: job } = await open.client.inspector.startCurve(asked);
    let seen: CurvePoint[] = [];
    let state = 'running';
    for await (const now of await open.client.jobs.follow({ id: job })) {
      state = now.state;
      seen = now.progress?.points ?? seen;
      if (seen.length > 0) await open.client.jobs.cancel({ id: job });
    }
    expect(state).toBe('cancelled');
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.length).toBeLessThan(asked.ratios.length);
    expect(await loss(id, [])).toBeGreaterThan(0);
    expect(await open.client.inspector.curves({ id })).toEqual(before);
  });

  it('says what is missing: data that was held out, a tokenizer for text', async () => {
    const held = { id, heads: [], data: { examples: 4 }, prompt: '' };
    await expect(open.client.inspector.probe(held).then(drained)).rejects.toThrow(
      /training data is not there any more/,
    );
    await expect(open.client.inspector.route({ id, heads: [], text: 'x', layer: 0, site: 'q_proj' })).rejects.toThrow(
      /no tokenizer/,
    );
  });

  it('does not read data that a foreign recipe names outside the chosen folders', async () => {
    const place = join(scratch.folder, 'sly');
    const description = await writeRandomAdapter(place, model);
    description.recipe['dataset'] = [{ path: '/etc/passwd' }];
    writeFileSync(join(place, 'adapter.json'), formatAdapterDescription(description));
    const sly = await open.client.adapters.import({ path: place, model });
    const asked = { id: sly.id, heads: [], data: { examples: 4 }, prompt: '' };
    await expect(open.client.inspector.probe(asked)).rejects.toThrow(/outside the folders/);
  });

  it('compares heads of a site and rows of A by their cosines', async () => {
    // By hand: (3, 4) and (4, 3) have 24 / 25.
    const [a, b, zero] = [Float32Array.of(3, 4), Float32Array.of(4, 3), Float32Array.of(0, 0)];
    expect(cosines([a], [a, b, zero])[0]!.map((x) => x && Number(x.toFixed(6)))).toEqual([1, 0.96, null]);
    const heads = await open.client.inspector.headSimilarity({ id, layer: 1, site: 'q_proj' });
    expect(heads.rows).toEqual(['1.q_proj.0', '1.q_proj.1', '1.q_proj.2']);
    expect(heads.values.map((row, at) => row[at]!.toFixed(4))).toEqual(['1.0000', '1.0000', '1.0000']);
    expect(Math.abs(heads.values[0]![1]!)).toBeLessThan(0.9);
    const { id: copy } = await open.client.adapters.duplicate({ id });
    const rows = await open.client.inspector.rowSimilarity({ id, other: copy });
    expect(rows.names).toEqual(['shared.A.32', 'shared.A.48']);
    expect(rows.values[0]![0]).toBeCloseTo(1, 5);
    await expect(open.client.inspector.headSimilarity({ id, layer: 1, site: 'k_proj' })).rejects.toThrow(/no k_proj/);
  });

  it('trains on what stays after pruning, and leaves the dropped heads out', async () => {
    const { heads } = await open.client.adapters.get({ id });
    const half = heads.slice(0, 9).map(({ name }) => name);
    const pruned = await open.client.adapters.prune({ id, name: 'half', heads: half });
    await expect(open.client.inspector.recover({ id: pruned.id, name: 'r', steps: 2 })).rejects.toThrow(/outside/);
    const { runId } = await open.client.inspector.recover({ id: pruned.id, name: 'recovered', steps: 3, path });
    await untilStatus(open.studio, runId, 'finished');
    await open.studio.adapters.enterEnded();
    const recovered = open.studio.adapters.store.ofRun(runId)!;
    expect(open.studio.adapters.store.entry(recovered)).toMatchObject({ droppedHeads: 9, name: 'recovered' });
    const after = await open.client.adapters.get({ id: recovered.id });
    expect(after.heads.filter(({ dropped }) => dropped).map(({ name }) => name)).toEqual(half);
    const tensors = (folder: string) => readFileSync(join(folder, 'adapter.safetensors'));
    expect(tensors(recovered.folder).equals(tensors(pruned.folder))).toBe(false);
    expect(tensors(recovered.folder).length).toBeCloseTo(tensors(pruned.folder).length, -3);
    const { edges } = await open.client.adapters.lineage({ id: recovered.id });
    expect(edges).toContainEqual({ from: pruned.id, to: recovered.id, relation: 'trained from' });
  });
});
