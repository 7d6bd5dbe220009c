import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { inEnvironment, trainerAt } from '../support/trainer-moment.ts';
import { largestDifference } from '../models/support.ts';
import { readAll } from '../models/vision/support.ts';
import { resultOf, temporary } from '../trainer/support.ts';
import { writePictureData, writePictureModel } from './support.ts';

const work = temporary('picture-run');
const recipe = path.join(work, 'recipe.yaml');
afterAll(() => fsp.rm(work, { recursive: true }));

/** With a picture that is cut off, one that is not there, and a link that leads out. */
async function writeData(): Promise<string> {
  const names = ['half.png', 'gone.png', 'link.png'];
  const folder = await writePictureData(
    work,
    names.map((name) => `${name},What colour?,red`),
  );
  const whole = await fsp.readFile(path.join(folder, '0.png'));
  await fsp.writeFile(path.join(folder, 'half.png'), whole.subarray(0, whole.length - 20));
  await fsp.writeFile(path.join(work, 'outside.png'), whole);
  await fsp.symlink(path.join(work, 'outside.png'), path.join(folder, 'link.png'));
  return folder;
}

beforeAll(async () => {
  const training = { steps: 8, batch: 3, accumulate: 2, sequenceLength: 400, learningRate: 3e-2, evalSplit: 4, evalEvery: 4, checkpointEvery: 4, samples: 2 }; // prettier-ignore
  const vision = { tower: 'adapted', connector: 'whole' };
  const method = { rank: 2, heads: 3, dropout: 0.1, vision, reducer: { ratio: 0.5, warmup: 3, interval: 3 } };
  const dataset = [{ path: await writeData(), acceptDropped: true }];
  await fsp.writeFile(
    recipe,
    stringify({ model: await writePictureModel(work), dataset, method, training, engine: 'tensorflow' }),
  );
});

const run = (folder: string, resume: boolean, onEvent?: (event: RunEvent) => void) =>
  startTrainer({ recipe, folder, resume, onEvent }).ended;
const samplesOf = (folder: string) =>
  fs
    .readFileSync(path.join(folder, 'samples.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);

describe('a run on pictures', () => {
  const whole = path.join(work, 'whole');
  const logs: string[] = [];
  beforeAll(async () => {
    const end = await run(whole, false, (event) => event.kind === 'log' && logs.push(event.line));
    expect(end).toMatchObject({ outcome: 'finished' });
  });

  it('learns what it is shown, and leaves out by name the rows whose pictures it can’t see', () => {
    const metrics = resultOf(whole).metrics as { loss: number; evalLoss?: number }[];
    expect(metrics).toHaveLength(8);
    expect(metrics.at(-1)!.loss).toBeLessThan(metrics[0]!.loss - 0.5);
    const said = logs.join('\n');
    expect(said).toContain('12 examples to train on, 4 held out');
    expect(said).toMatch(/half\.png is not a whole PNG picture .*\(rows 18\)/);
    expect(said).toMatch(/gone\.png can't be read \(ENOENT\).*\(rows 19\)/);
    expect(said).toMatch(/link\.png lies outside the dataset’s folder.*\(rows 20\)/);
  });

  it('teaches what sees, too: heads of the tower, and the connector’s own tensors', async () => {
    const { method, formatVersion } = JSON.parse(fs.readFileSync(path.join(whole, 'adapter.json'), 'utf8')) as {
      method: { targets: string[]; whole: object[] };
      formatVersion: number;
    };
    expect(formatVersion).toBe(3);
    expect(method.targets).toEqual(expect.arrayContaining(['q_proj', 'tower.q_proj', 'tower.fc2']));
    const name = 'connector.modality_projection.proj.weight';
    expect(method.whole).toEqual([expect.objectContaining({ name })]);
    const learned = await readAll(path.join(whole, 'adapter.safetensors'));
    const before = await readAll(path.join(work, 'model', 'model.safetensors'));
    const [now, then] = [learned.get(name)!, before.get(`model.${name}`)!];
    expect(now.shape).toEqual(then.shape);
    expect(largestDifference(now.values, then.values)).toBeGreaterThan(1e-4);
    expect(Math.max(...learned.get('layers.0.tower.q_proj.B')!.values)).toBeGreaterThan(0);
    expect([...learned.keys()]).toEqual(expect.arrayContaining([expect.stringMatching(/^shared\.A\.tower\.\d+$/)]));
    const shares = fs.readFileSync(path.join(whole, 'heads.jsonl'), 'utf8');
    expect(shares).toContain('"0.tower.q_proj.0"');
  });

  it('answers held-out questions and says about which picture', () => {
    const lines = samplesOf(whole);
    expect(lines).toHaveLength(2 * 3);
    for (const line of lines)
      expect(line).toMatchObject({ prompt: 'What colour?', pictures: [expect.stringMatching(/^\d+\.png$/)] });
    // In small once, with the answers before training.
    const small = lines.map((line) => (line as { thumbnails?: string[] }).thumbnails?.length);
    expect(small).toEqual([1, 1, undefined, undefined, undefined, undefined]);
  });

  it('killed after a checkpoint and resumed ends as if it had never been', async () => {
    const folder = path.join(work, 'killed');
    const moment = { kind: 'metrics', step: 6 } as const;
    const killed = await inEnvironment(trainerAt(moment, 'SIGKILL').env, () => run(folder, false));
    expect(killed).toMatchObject({ outcome: 'failed', message: expect.stringContaining('SIGKILL') as string });
    expect(await run(folder, true)).toMatchObject({ outcome: 'finished' });
    expect(resultOf(folder)).toEqual(resultOf(whole));
    expect(samplesOf(folder)).toEqual(samplesOf(whole));
  });

  it('is not resumed on other pictures unnoticed', async () => {
    const folder = path.join(work, 'changed');
    const moment = { kind: 'metrics', step: 5 } as const;
    await inEnvironment(trainerAt(moment, 'SIGKILL').env, () => run(folder, false));
    const data = path.join(work, 'data');
    await fsp.copyFile(path.join(data, '1.png'), path.join(data, '0.png'));
    const end = await run(folder, true);
    expect(end).toMatchObject({ outcome: 'failed', message: expect.stringContaining('has changed since') as string });
  });
});
