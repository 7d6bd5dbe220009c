import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { ADAMW_DEFAULTS, AdamW } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { isRouted } from '../../src-main/effilora/methods/registry.ts';
import { RankAllocator } from '../../src-main/effilora/rank-allocator.ts';
import type { RankOptions } from '../../src-main/effilora/rank-schedule.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions, NamedTensor, ReducerOptions } from '../../src-main/effilora/types.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import type { TokenBatch } from '../../src-main/models/types.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';

/** One step of PyTorch's. */
export interface ReferenceStep {
  step: number;
  loss: number;
  frozen: [number, string, number][];
  /** policy prefix: whole layers in force */
  frozenLayers?: number;
  importance?: Record<string, number>;
  /** adalora: triplets of each site that are not 0 after the step */
  ranks?: Record<string, number>;
}

interface CaseOptions extends Partial<AdapterOptions> {
  seed: number;
  targets: string[];
  heads: number;
  rank: number;
  alpha: number;
  lr: number;
  reducer: Pick<ReducerOptions, 'ratio' | 'warmup' | 'interval' | 'beta' | 'probe' | 'importanceAtMost'> & {
    policy?: 'prefix';
  };
  adalora?: Omit<RankOptions, 'steps'>;
  clipNorm?: number;
  weightDecay?: number;
}

const folder = (name: string) => path.join(path.dirname(fileURLToPath(import.meta.url)), name);

/** A reference case, opened on the engine in use. */
export async function openCase(name: string, recompute: boolean | number = true) {
  const at = (file: string) => path.join(folder(name), file);
  const c = JSON.parse(readFileSync(at('case.json'), 'utf8')) as CaseOptions;
  const options: AdapterOptions = {
    name: c.name ?? 'effilora',
    rank: c.rank,
    heads: c.heads,
    alpha: c.alpha,
    targets: c.targets,
    share: c.share ?? 'global',
    router: c.router ?? 'site',
    dropout: 0,
    rsLora: c.rsLora ?? false,
    dora: c.dora ?? false,
  };
  const file = await openTextModel(at('model'));
  const model = await loadCausalLM(file);
  await file.close();
  const adapter = new Adapter(model.sites(), options, c.seed);
  adapter.import(await readTensors(at('init.safetensors')));
  const { clipNorm = 0, weightDecay = 0 } = c;
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm, weightDecay });
  const ratio = isRouted(options) ? c.reducer.ratio : 0;
  const reducer = new Reducer(adapter.heads, headsPerSite(options), {
    policy: 'topk',
    ...c.reducer,
    ratio,
    temperature: 1,
    schedule: 'step',
    minActivePerSite: 0,
    seed: c.seed,
  });
  const stepOptions = {
    routerShare: true,
    recompute,
    seed: c.seed,
    // an engine that compiles must compile these
    warn: (line: string) => {
      throw new Error(line);
    },
  };
  const steps = readFileSync(at('batches.jsonl'), 'utf8').trim().split('\n').length;
  const allocator = c.adalora && new RankAllocator(adapter, { ...c.adalora, steps });
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, stepOptions, allocator);
  return {
    ...{ model, adapter, optimizer, reducer, step },
    learningRate: c.lr,
    batches: readFileSync(at('batches.jsonl'), 'utf8').trim().split('\n').map(batchOf),
    trajectory: JSON.parse(readFileSync(at('trajectory.json'), 'utf8')) as ReferenceStep[],
    tensors: (what: string) => readTensors(at(`${what}.safetensors`)),
    dispose() {
      allocator?.dispose();
      optimizer.dispose();
      adapter.dispose();
      model.dispose();
    },
  };
}

function batchOf(line: string): TokenBatch {
  const { input_ids, labels } = JSON.parse(line) as { input_ids: number[][]; labels: number[][] };
  return {
    rows: input_ids.length,
    length: input_ids[0]!.length,
    inputIds: Int32Array.from(input_ids.flat()),
    labels: Int32Array.from(labels.flat()),
    positions: Int32Array.from(input_ids.flatMap((row) => row.map((_, t) => t))),
    segments: new Int32Array(input_ids.flat().length),
  };
}

/** The rows of a batch as batches of one. */
export function rowsOf(batch: TokenBatch): TokenBatch[] {
  return Array.from({ length: batch.rows }, (_, r) => {
    const row = (values: Int32Array) => values.slice(r * batch.length, (r + 1) * batch.length);
    const { inputIds, labels, positions, segments } = batch;
    return {
      rows: 1,
      length: batch.length,
      ...{ inputIds: row(inputIds), labels: row(labels), positions: row(positions), segments: row(segments) },
    };
  });
}

async function readTensors(file: string): Promise<NamedTensor[]> {
  const reader = await FileReader.open(file);
  const { tensors } = await readSafetensorsHeader(reader);
  const all = [...tensors.values()].map(async (entry) => ({
    name: entry.name,
    shape: entry.shape,
    data: await readFloats(reader, entry),
  }));
  const read = await Promise.all(all);
  await reader.close();
  return read;
}

/** The largest difference as a share of the expected tensor's largest magnitude. */
export function error(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, magnitude] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i]! - expected[i]!));
    magnitude = Math.max(magnitude, Math.abs(expected[i]!));
  }
  return actual.length === expected.length ? difference / magnitude : Infinity;
}
