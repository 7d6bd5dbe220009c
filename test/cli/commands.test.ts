import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodePicture } from '../../src-main/models/vision/pictures/decode.ts';
import { parseAdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { z } from 'zod';
import { modelEntry } from '../../src-preload/contract/models.ts';
import { plan } from '../../src-preload/contract/plans.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { runPython } from '../support/python.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { temporary } from '../trainer/support.ts';
import { cli, cliJson, readJsonLines, startBin, startCli, writeJsonLines } from './support.ts';

const work = temporary('cli-commands');
const at = (name: string) => path.join(work, name);
const model = talkative(writeTinyChatModel(at('model')));
const adapter = at('adapter');
/** The studio's library is one of the test's own. */
const env = { EFFILORA_DATA: at('data') };

const NUMBERS = ['two', 'three', 'seven', 'eight', 'nine', 'twelve', 'fifteen', 'twenty', 'thirty', 'fifty', 'sixty'];
/** Answers to choose from, a sentence around them in every third, and one row without any. */
const choices = NUMBERS.map((number, i) => {
  const [options, answer] = i % 2 ? [['yes', 'no'], i % 4 === 1 ? 'yes' : 'no'] : [['even', 'odd', 'neither'], 'odd'];
  const around = (option: string) => (i % 3 ? option : `The answer is ${option}.`);
  const instruction = `Is ${number} even?\nAnswer format: ${options.join('/')}`;
  return { instruction, input: '', output: around(answer), answer, options, around };
});
const rows: object[] = [...choices, { instruction: 'Say hello.', input: '', output: 'Hello.' }];
const dataset = writeJsonLines(
  at('rows.jsonl'),
  rows.map((row) => ({ ...row, options: undefined })),
);

/** Makes the special tokens unlikely, so that the random model doesn't end its answers at once. */
function talkative(folder: string): string {
  const file = path.join(folder, 'model.safetensors');
  const bytes = fs.readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { shape: number[]; data_offsets: number[] }
  >;
  const { shape, data_offsets: offsets } = header['model.embed_tokens.weight']!;
  for (let i = 0; i < 4 * shape[1]!; i++) {
    const place = start + offsets[0]! + 4 * i;
    bytes.writeFloatLE(bytes.readFloatLE(place) / 10, place);
  }
  fs.writeFileSync(file, bytes);
  return folder;
}

type Likelihood = [sum: number, tokens: number];

/** Log-likelihoods by PyTorch of the rows' answers and of every option, in each case: an adapter's dropped heads, or none at all. */
async function byPyTorch(cases: { heads: string[] | null; renormalize: boolean }[]) {
  const options = choices.flatMap((row) => row.options.map((option) => ({ ...row, output: row.around(option) })));
  const job = at('job.json');
  fs.writeFileSync(job, JSON.stringify({ model, adapter, rows: [...rows, ...options], cases }));
  const script = fileURLToPath(new URL('../support/torch_losses.py', import.meta.url));
  const answers = JSON.parse(await runPython(script, [job])) as Likelihood[][];
  return answers.map((all) => {
    const own = all.slice(0, rows.length);
    const tokens = own.reduce((sum, [, count]) => sum + count, 0);
    const loss = -own.reduce((sum, [likelihood]) => sum + likelihood, 0) / tokens;
    let next = rows.length;
    const right = choices.filter((row) => {
      const sums = row.options.map(() => all[next++]![0]);
      const [first, second] = [...sums].sort((a, b) => b - a);
      // Not decided by rounding.
      expect(first! - second!).toBeGreaterThan(1e-3);
      return row.options[sums.indexOf(first!)] === row.answer;
    });
    return { loss, tokens, accuracy: right.length / choices.length };
  });
}

/** The names of the least important heads by adapter.json. */
function least(share: number): string[] {
  const text = fs.readFileSync(path.join(adapter, 'adapter.json'), 'utf8');
  const { heads } = parseAdapterDescription(text, 'adapter.json');
  const names = Object.keys(heads).sort((a, b) => heads[a]!.importance - heads[b]!.importance);
  return names.slice(0, Math.floor(share * names.length));
}

beforeAll(async () => {
  await writeRandomAdapter(adapter, model, { strength: 2 });
});

describe('eval and inspect --drop agree with PyTorch', () => {
  let expected: Awaited<ReturnType<typeof byPyTorch>>;
  beforeAll(async () => {
    const dropped = [[], least(0.3), least(0.6)];
    const cases = dropped.flatMap((heads) => [false, true].map((renormalize) => ({ heads, renormalize })));
    expected = await byPyTorch([{ heads: null, renormalize: false }, ...cases]);
  });

  it.each([
    ['the base model', [], 0],
    ['the adapter', ['--adapter', adapter], 1],
  ] as const)('in loss and accuracy of %s', async (_, more, which) => {
    const args = ['eval', '--model', model, '--dataset', dataset, ...more];
    const { loss, tokens, accuracy } = expected[which]!;
    const result = await cliJson<Record<string, number>>(args);
    expect(result).toMatchObject({ tokens, examples: rows.length, accuracy, accuracyExamples: choices.length });
    expect(Math.abs(result['loss']! / loss - 1)).toBeLessThan(1e-4);
    expect(accuracy).toBeGreaterThan(0);
    expect(accuracy).toBeLessThan(1);
  });

  it.each([
    ['zero', [], 3],
    ['renormalized', ['--renormalize'], 4],
  ] as const)('in the loss with heads dropped, their share %s', async (_, more, which) => {
    const args = ['inspect', adapter, '--drop', '0.3,0.6', '--dataset', dataset, ...more];
    type Inspected = { whole: { loss: number }; drop: { dropped: number; loss: number }[]; fewer: { text: string } };
    const { whole, drop, fewer } = await cliJson<Inspected>(args);
    const theirs = [expected[1]!, expected[which]!, expected[which + 2]!].map(({ loss }) => loss);
    [whole, ...drop].forEach(({ loss }, i) => expect(Math.abs(loss / theirs[i]! - 1)).toBeLessThan(1e-4));
    expect(drop.map(({ dropped }) => dropped)).toEqual([least(0.3).length, least(0.6).length]);
    const change = 100 * (theirs[2]! / theirs[0]! - 1);
    expect(fewer.text).toContain(`Without the 60 % least important heads the loss is ${Math.abs(change).toFixed(1)} %`);
    // What is dropped is felt.
    expect(Math.abs(theirs[2]! - theirs[0]!)).toBeGreaterThan(1e-3);
  });
});

it('generate repeats its text by its seed, and says something else with another seed or an adapter', async () => {
  const args = ['generate', '--model', model, '--prompt', 'Tell me', '--temperature', '1', '--max-tokens', '400'];
  const whole = async (...more: string[]) => (await cliJson<{ text: string }>([...args, ...more])).text;
  const seven = await whole('--seed', '7');
  expect(await whole('--seed', '7')).toBe(seven);
  expect(await whole('--seed', '8')).not.toBe(seven);
  expect(await whole('--seed', '7', '--adapter', adapter)).not.toBe(seven);
});

it.each([
  ['generate', ['--prompt', 'Tell me']],
  ['serve-model', ['--port', '0']],
])(
  '%s --precision int8 is heard where it is written: an engine without such products refuses it',
  async (name, more) => {
    const { code, stderr } = await cli([name, '--model', model, ...more, '--engine', 'cpu', '--precision', 'int8']);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(/Answers in int8 need products in integers, .* the engine in use has not/) as string }); // prettier-ignore
  },
);

it('generate streams its text', async () => {
  const endless = writeTinyChatModel(at('endless'), { endless: true });
  const args = (tokens: number) => ['--model', endless, '--prompt', 'Tell me', '--temperature', '0', '--max-tokens', `${tokens}`]; // prettier-ignore
  const { text } = await cliJson<{ text: string }>(['generate', ...args(100)]);
  const streaming = startCli(['generate', ...args(8_000)]);
  await streaming.wrote(/\S/);
  streaming.child.kill('SIGKILL');
  const { code, stdout } = await streaming.ended;
  // There was text before the end, which it did not come to.
  expect(code).toBeUndefined();
  const said = stdout.replace(/\uFFFD$/, '');
  expect(said).not.toBe('');
  expect(said.slice(0, text.length)).toBe(text.slice(0, said.length));
});

it('plan prints a recipe that train takes, and the run can be inspected', async () => {
  const args = ['plan', '--model', model, '--dataset', dataset, '--memory', '4GiB'];
  const { code, stdout, stderr } = await cli(args);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/In all .* of 4\.3 GB/) as string });
  fs.writeFileSync(at('recipe.yaml'), stdout);
  const proposed = plan.parse(await cliJson([...args, '--out', at('same.yaml')]));
  expect(fs.readFileSync(at('same.yaml'), 'utf8').trim()).toBe(stdout.trim());
  expect(await cli(['train', at('recipe.yaml'), '--out', at('run')])).toMatchObject({ code: 0 });
  const losses = readJsonLines<{ loss: number }>(path.join(at('run'), 'metrics.jsonl'));
  expect(losses).toHaveLength(proposed.recipe.training.steps!);
  expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss);
  const head = z.object({
    ...{ name: z.string(), layer: z.number(), site: z.string(), head: z.number(), dropped: z.literal(false) },
    ...{ importance: z.number(), frozenSince: z.number().nullable(), routerShare: z.number().min(0).max(1) },
  });
  const { heads } = z.object({ heads: z.array(head) }).parse(await cliJson(['inspect', at('run')]));
  const { layers, sites, heads: headsPerSite } = proposed.structure;
  expect(heads).toHaveLength(layers * sites.length * headsPerSite);
  const frozen = heads.filter(({ frozenSince }) => frozenSince !== null);
  expect(frozen).toHaveLength(Math.floor(proposed.recipe.method.reducer!.ratio! * heads.length));
});

it('data, models and engines say with --json what is there', async () => {
  const lengths = { p5: z.number(), p50: z.number(), p95: z.number(), p99: z.number(), max: z.number() };
  const report = z.object({
    ...{ format: z.literal('instruction'), examples: z.literal(rows.length), kept: z.literal(rows.length) },
    ...{ dropped: z.tuple([]), tokens: z.number(), lossTokens: z.number(), lossShare: z.number() },
    ...{ tokenLength: z.object(lengths), sha256: z.string().length(64) },
  });
  const { tokens, lossTokens, lossShare } = report.parse(await cliJson(['data', dataset, '--model', model]));
  expect(lossShare).toBeCloseTo(lossTokens / tokens, 6);
  const listed = z.object({ models: z.array(modelEntry), searched: z.array(z.string()) });
  const { models } = listed.parse(await cliJson(['models'], { env }));
  expect(models.find(({ origin }) => origin === 'default')!.reference).toBe('smollm2-135m');
  const names = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
  const engine = z.object({ name: z.enum(names), available: z.boolean(), device: z.string(), reason: z.string() });
  const engines = z.object({ engines: z.array(engine), chosen: z.enum(names), why: z.string().min(1) });
  const found = engines.parse(await cliJson(['engines']));
  expect(found.engines.map(({ name }) => name).sort()).toEqual([...names].sort());
  expect(found.engines.find(({ name }) => name === found.chosen)!.available).toBe(true);
});

it('demo trains on the example dataset and shows both answers', async () => {
  const { code, stdout, stderr } = await cli(['demo', '--steps', '2', '--model', model, '--out', at('demo')]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/2 steps in .*\n\nExpected: .+\n\nBefore +\| After\n/s);
  const [, answers] = /\n-+ \| -+\n(.*)\n\nLoss on/s.exec(stdout)!;
  const columns = answers!.split('\n').map((line) => [line.slice(0, 38), line.slice(41)]);
  for (const column of [0, 1])
    expect(
      columns
        .map((line) => line[column])
        .join('')
        .trim(),
    ).not.toBe('');
  expect(stdout).toMatch(/Loss on \d+ held-out examples: \d+\.\d{3} before, \d+\.\d{3} after/);
  expect(fs.existsSync(path.join(at('demo'), 'adapter.safetensors'))).toBe(true);
});

it('demo --vision counts held-out questions answered to the letter before and after, and shows one', async () => {
  const flags = ['--vision', '--steps', '2', '--questions', '12', '--json', '--out', at('demo-pictures')];
  const { code, stdout, stderr } = await cli(['demo', ...flags]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { accuracyBefore, accuracyAfter, questions, seconds, example } = JSON.parse(stdout) as Record<
    string,
    number
  > & {
    example: Record<string, string>;
  };
  expect(questions).toBe(12);
  for (const share of [accuracyBefore, accuracyAfter])
    expect([...Array(13).keys()].map((n) => n / 12)).toContain(share);
  expect(seconds).toBeGreaterThan(0);
  const held = fs.readFileSync(path.join(import.meta.dirname, '../../resources/picture-examples/held-out.csv'), 'utf8');
  const { picture, question, expected } = example;
  expect(held).toContain(`pictures/${path.basename(picture!)},${question},${expected}\n`);
  expect(example).toMatchObject({
    before: expect.stringMatching(/./) as string,
    after: expect.stringMatching(/./) as string,
  });
});

it('demo --pictures paints held-out captions before and after into one picture, and measures both', async () => {
  const flags = ['--pictures', '--steps', '2', '--captions', '4', '--json', '--out', at('demo-drawings')];
  const { code, stdout, stderr } = await cli(['demo', ...flags]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const measured = z.object({
    ...{ kidBefore: z.number(), kidAfter: z.number(), seconds: z.number().positive(), pictures: z.literal(4) },
    ...{ conceptAccuracyBefore: z.literal([0, 0.25, 0.5, 0.75, 1]), conceptAccuracyAfter: z.literal([0, 0.25, 0.5, 0.75, 1]) }, // prettier-ignore
    grid: z.string(),
  });
  const { grid } = measured.parse(JSON.parse(stdout));
  expect(path.dirname(grid)).toBe(at('demo-drawings'));
  const pixels = async (file: string, left = 0, top = 0, enlarged = 1) => {
    const { rgb, width, height } = await decodePicture(fs.readFileSync(file), file);
    const own = Array.from({ length: 64 * 64 * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % 64, Math.floor(i / 192)];
      return rgb[((top + y * enlarged) * width + left + x * enlarged) * 3 + (i % 3)]!;
    });
    return { own, size: [width, height] };
  };
  const drawn = { before: await pixels(grid, 0, 0, 2), after: await pixels(grid, 0, 128, 2) };
  expect(drawn.before.size).toEqual([4 * 128, 2 * 128]);
  // Of the run's own samples the first is of the first held-out caption and seed, too.
  const { prompt, seed } = readJsonLines<{ prompt: string; seed: number }>(path.join(at('demo-drawings'), 'samples.jsonl'))[0]!; // prettier-ignore
  expect([prompt, seed]).toEqual(['a line drawing of a dog', 0]);
  const sampleAt = async (step: string) => (await pixels(path.join(at('demo-drawings'), `samples/${step}-1.png`))).own;
  const apart = (one: number[], other: number[]) => one.map((value, i) => Math.abs(value - other[i]!));
  expect(Math.max(...apart(await sampleAt('000000'), drawn.before.own))).toBeLessThanOrEqual(2);
  // At three quarters of the strength it lies between the sample, painted at all of it, and what was painted before.
  const learned = await sampleAt('000002');
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
  const [left, whole] = [total(apart(drawn.after.own, learned)), total(apart(drawn.before.own, learned))];
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(whole / 2);
  expect(drawn.before.own).not.toEqual(drawn.after.own);
});

it.each([
  ['--vision', /reads text alone/],
  ['--pictures', /makes no pictures/],
])('demo %s refuses a model that reads and writes texts alone before it trains', async (example, words) => {
  const { code, stderr } = await cli(['demo', example, '--model', model, '--out', at('demo-blind')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(words) as string });
  expect(fs.existsSync(at('demo-blind'))).toBe(false);
});

it('--help comes with examples through the bin (of every command: docs.test.ts)', async () => {
  const { code, stdout } = await startBin(['plan', '--help']).ended;
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringMatching(/Usage: effilora plan.*Examples:\n {2}effilora plan/s) as string,
  });
});
