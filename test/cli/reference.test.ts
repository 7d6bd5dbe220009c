import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { beforeAll, describe, expect, it } from 'vitest';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { temporary } from '../trainer/support.ts';
import { cliJson, readJsonLines, writeJsonLines } from './support.ts';

const reference = fileURLToPath(new URL('../parity/case-a', import.meta.url));
const work = temporary('cli-reference');
const model = path.join(reference, 'model');

interface Case {
  rank: number;
  heads: number;
  alpha: number;
  lr: number;
  seed: number;
  targets: string[];
  reducer: object;
}
interface Batch {
  input_ids: number[][];
  labels: number[][];
}
interface Step {
  loss: number;
  frozen: [number, string, number][];
}

const at = (file: string) => path.join(reference, file);
const json = <T>(file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as T;
const settings = json<Case>(at('case.json'));
const batches = readJsonLines<Batch>(at('batches.jsonl'));
const steps = json<Step[] | { steps: Step[] }>(at('trajectory.json'));
const trajectory = Array.isArray(steps) ? steps : steps.steps;
const rows = ({ input_ids, labels }: Batch) => input_ids.map((ids, row) => ({ input_ids: ids, labels: labels[row] }));

/** An adapter folder with PyTorch's tensors. */
function adapterFolder(name: string, tensors: string): string {
  const folder = path.join(work, name);
  fs.mkdirSync(folder);
  fs.copyFileSync(at(tensors), path.join(folder, 'adapter.safetensors'));
  const { rank, heads, alpha, targets } = settings;
  const options = { name: 'effilora', rank, heads, alpha, targets, share: 'global', router: 'site' };
  const { num_hidden_layers: layers } = json<{ num_hidden_layers: number }>(at('model/config.json'));
  const head = { importance: 0, frozenSince: null, dropped: false };
  const names = Array.from({ length: layers }, (_, layer) =>
    targets.flatMap((site) => Array.from({ length: heads }, (_, j) => `${layer}.${site}.${j}`)),
  ).flat();
  const description = {
    formatVersion: 1,
    method: { ...options, dropout: 0, rsLora: false, dora: false },
    baseModel: { name: 'model', architecture: 'llama', sha256: '0'.repeat(64) },
    ...{ datasets: [], recipe: {}, metrics: {}, renormalize: false },
    heads: Object.fromEntries(names.map((headName) => [headName, head])),
  };
  fs.writeFileSync(path.join(folder, 'adapter.json'), JSON.stringify(description));
  return folder;
}

/** Mean of -log softmax(logits)[label] over labels shifted by one, in double precision. */
function lossOf(logits: Float32Array, vocabulary: number, { input_ids, labels }: Batch): number {
  let sum = 0;
  let count = 0;
  input_ids.forEach((ids, row) =>
    ids.forEach((_, t) => {
      const label = labels[row]![t + 1];
      if (label === undefined || label < 0) return;
      const at = (row * ids.length + t) * vocabulary;
      const values = Array.from(logits.subarray(at, at + vocabulary));
      const largest = Math.max(...values);
      sum += largest + Math.log(values.reduce((all, value) => all + Math.exp(value - largest), 0)) - values[label]!;
      count++;
    }),
  );
  return sum / count;
}

describe.each(['tensorflow', 'wasm'])('PyTorch’s reference case through the command line on %s', (engine) => {
  const run = path.join(work, `run-${engine}`);

  beforeAll(async () => {
    const start = adapterFolder(`start-${engine}`, 'init.safetensors');
    const dataset = writeJsonLines(path.join(work, `${engine}.jsonl`), batches.flatMap(rows));
    const { lr, reducer, seed, rank, heads, alpha, targets } = settings;
    const recipe = {
      ...{ model, dataset, engine, init: start },
      method: { rank, heads, alpha, targets, reducer },
      training: {
        ...{ steps: batches.length, batch: batches[0]!.input_ids.length, sequenceLength: 24, packing: false },
        ...{ learningRate: lr, schedule: 'constant', clipNorm: 0, evalSplit: 0, shuffle: false, seed },
      },
    };
    const file = path.join(work, `${engine}.yaml`);
    fs.writeFileSync(file, stringify(recipe));
    await cliJson(['train', file, '--out', run]);
  });

  it('has its every loss to 1e-4', () => {
    const lines = readJsonLines<{ loss: number }>(path.join(run, 'metrics.jsonl'));
    expect(lines).toHaveLength(trajectory.length);
    lines.forEach(({ loss }, i) => expect(Math.abs(loss / trajectory[i]!.loss - 1)).toBeLessThan(1e-4));
  });

  it('freezes its heads step by step', () => {
    const lines = readJsonLines<{ frozen: string[] }>(path.join(run, 'heads.jsonl'));
    const theirs = trajectory.map(({ frozen }) => frozen.map((head) => head.join('.')).sort());
    expect(lines.map(({ frozen }) => [...frozen].sort())).toEqual(theirs);
    expect(theirs.at(-1)!.length).toBeGreaterThan(0);
  });

  it('evaluates its final adapter to the loss of its logits', async () => {
    const adapter = adapterFolder(`final-${engine}`, 'final.safetensors');
    const dataset = writeJsonLines(path.join(work, `first-${engine}.jsonl`), rows(batches[0]!));
    const { tensors } = await readNamedTensors(at('final_logits.safetensors'));
    const [logits] = tensors;
    const expected = lossOf(logits!.data, logits!.shape.at(-1)!, batches[0]!);
    for (const place of [adapter, run]) {
      const args = ['eval', '--model', model, '--adapter', place, '--dataset', dataset, '--engine', engine];
      const result = await cliJson<{ loss: number; perplexity: number; tokens: number }>(args);
      expect(Math.abs(result.loss / expected - 1)).toBeLessThan(1e-4);
      expect(result.perplexity).toBeCloseTo(Math.exp(result.loss), 5);
      expect(result.tokens).toBe(
        batches[0]!.labels.flatMap((row) => row.slice(1)).filter((label) => label >= 0).length,
      );
    }
  });
});
