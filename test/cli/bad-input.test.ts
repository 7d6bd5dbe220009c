import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../../src-main/cli.ts';
import { smallRun, temporary, TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { cli, cliJson, readJsonLines, startBin, writeJsonLines, type Ended } from './support.ts';

const work = temporary('cli-bad');
const at = (name: string) => path.join(work, name);
const data = fileURLToPath(new URL('../models/data/', import.meta.url));
const dataset = writeTokens(at('good.jsonl'));
const write = (name: string, content: string | Uint8Array) => {
  fs.writeFileSync(at(name), content);
  return at(name);
};

/** The tiny model's folder with its weights' bytes changed. */
function brokenFolder(name: string, change: (bytes: Buffer) => Buffer): string {
  fs.cpSync(TINY_MODEL, at(name), { recursive: true });
  const file = path.join(at(name), 'model.safetensors');
  fs.writeFileSync(file, change(fs.readFileSync(file)));
  return at(name);
}

const gguf = fs.readFileSync(path.join(data, 'every-type.gguf'));
function changed(bytes: Buffer, place: number, with_: (copy: Buffer, place: number) => void): Buffer {
  const copy = Buffer.from(bytes);
  with_(copy, place);
  return copy;
}

/** A safetensors file with its header rewritten, its length kept. */
function withHeader(bytes: Buffer, change: (header: string) => string): Buffer {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = change(bytes.toString('utf8', 8, 8 + length));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([size, Buffer.from(header), bytes.subarray(8 + length)]);
}

/** A recipe of the small run with something changed. */
function recipe(name: string, change: (value: Record<string, Record<string, unknown>>) => void): string {
  const folder = at(`${name}-recipe`);
  fs.mkdirSync(folder);
  const file = smallRun(folder);
  const value = parse(fs.readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>;
  change(value);
  fs.writeFileSync(file, stringify(value));
  return file;
}

// Without --out a run would be made here.
beforeAll(() => process.chdir(work));

/** The command line in this process, behind the same door: a process for each of so many cases costs over a second. */
async function inProcess(args: string[]): Promise<Ended> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).flatMap((stream) => [
    vi.spyOn(process[stream], 'write').mockImplementation((text) => Boolean((written[stream] += String(text)))),
    vi
      .spyOn(console, stream === 'stdout' ? 'log' : 'error')
      .mockImplementation((line) => void (written[stream] += `${line}\n`)),
  ]);
  const listeners = process.stdout.listeners('error');
  try {
    const code = await runCommandLine(args);
    return { code, ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
    for (const listener of process.stdout.listeners('error'))
      if (!listeners.includes(listener)) process.stdout.off('error', listener as () => void);
  }
}

/** Runs it, wants exit code 2, one sentence, and no file that was not there. */
async function refused(args: string[], sentence: RegExp, run = inProcess): Promise<void> {
  const before = fs.readdirSync(work, { recursive: true }).sort();
  const { code, stdout, stderr } = await run(args);
  // What a run says before it meets the fault.
  const said = stderr
    .trim()
    .split('\n')
    .filter((line) => !/^(Engine|Data): |^Loading the model|^Only \d+ of \d+ examples are held out/.test(line));
  expect({ code, stdout, said }).toEqual({
    ...{ code: 2, stdout: '' },
    said: [expect.stringMatching(sentence) as string],
  });
  expect(fs.readdirSync(work, { recursive: true }).sort()).toEqual(before);
}

const evaluate = (model: string, ...more: string[]) => ['eval', '--model', model, '--dataset', dataset, ...more];

describe('a model that is', () => {
  it.each<[string, () => string, RegExp]>([
    ['a truncated GGUF', () => write('cut.gguf', gguf.subarray(0, Math.floor(gguf.length * 0.6))), /cut\.gguf/],
    ['a GGUF cut in its header', () => write('head.gguf', gguf.subarray(0, 100)), /head\.gguf/],
    [
      'a GGUF with an absurd number of tensors',
      () =>
        write(
          'many.gguf',
          changed(gguf, 8, (copy, i) => copy.writeBigUInt64LE(2n ** 60n, i)),
        ),
      /many\.gguf/,
    ],
    [
      'a GGUF of an unknown version',
      () =>
        write(
          'version.gguf',
          changed(gguf, 4, (copy, i) => copy.writeUInt32LE(99, i)),
        ),
      /version\.gguf.*99/,
    ],
    ['no GGUF', () => write('text.gguf', 'just text'), /text\.gguf/],
    ['cut safetensors', () => brokenFolder('cut', (b) => b.subarray(0, b.length - 1000)), /cut\/model\.safetensors/],
    [
      'safetensors with an absurd header length',
      () => brokenFolder('long', (b) => changed(b, 0, (copy) => copy.writeBigUInt64LE(2n ** 62n, 0))),
      /long\/model\.safetensors/,
    ],
    [
      'safetensors with offsets past the end',
      () =>
        brokenFolder('past', (b) =>
          withHeader(b, (h) =>
            h.replace(/"data_offsets":\s*\[(\d+),\s*(\d+)\]/, '"data_offsets":[9000000000,9000000004]'),
          ),
        ),
      /past\/model\.safetensors/,
    ],
    ['a name nobody knows', () => 'smollm3', /The model "smollm3" is not there; give .*smollm2-135m/],
  ])('%s is refused', async (_, model, sentence) => refused(evaluate(model()), sentence));
});

describe('a dataset that', () => {
  const report = (name: string, content: string) => ['data', write(name, content), '--model', TINY_MODEL];
  it.each<[string, string, string, RegExp]>([
    ['is empty', 'empty.jsonl', '', /empty\.jsonl" is empty; give a file with at least one example/],
    ['is broken in every row', 'broken.jsonl', '{"a":\nnope\n', /broken\.jsonl.*row 1.*not valid JSON/],
    [
      'has columns nobody knows',
      'columns.jsonl',
      '{"colour":1}\n',
      /columns\.jsonl: its columns \(colour\) fit no known format/,
    ],
    ['is of an unknown kind', 'data.xyz', 'x', /data\.xyz" is of no known kind/],
    [
      'has text for a model without a tokenizer',
      'text.jsonl',
      '{"text":"hello"}\n',
      /has no tokenizer.*text\.jsonl holds text/,
    ],
    [
      'has tokens the model lacks',
      'ids.jsonl',
      '{"input_ids":[1,2,500]}\n',
      /ids\.jsonl: no example is left .*token 500/,
    ],
  ])('%s is refused', async (_, name, content, sentence) => refused(report(name, content), sentence));

  it('has a few broken rows is read without them, and they are named', async () => {
    const rows = ['{"input_ids":[1,2,3]}', 'nope', '{"input_ids":[]}', '{"input_ids":[4,5]}', '{"input_ids":"x"}'];
    const args = ['data', write('some.jsonl', rows.join('\n')), '--model', TINY_MODEL];
    const report = await cliJson<{ kept: number; dropped: { rows: number[] }[] }>(args);
    expect(report.kept).toBe(2);
    expect(report.dropped.flatMap(({ rows: at_ }) => at_).sort()).toEqual([2, 3, 5]);
  });

  it('is not there is named', async () => refused(['data', at('gone.jsonl'), '--model', TINY_MODEL], /gone\.jsonl/));
});

describe('a recipe with', () => {
  it.each<[string, Parameters<typeof recipe>[1], RegExp]>([
    [
      'an unknown key',
      (r) => (r['training']!['stepz'] = 3),
      /line \d+: the key "training\.stepz" is not known; did you mean "steps"\?/,
    ],
    [
      'an impossible value',
      (r) => (r['method']!['name'] = 'effilorra'),
      /method\.name can't be "effilorra"; did you mean "effilora"\?/,
    ],
    ['a ratio above 1', (r) => (r['method']!['reducer'] = { ratio: 1.5 }), /method\.reducer\.ratio can't be 1\.5/],
    [
      'a sequence longer than the context',
      (r) => (r['training']!['sequenceLength'] = 4096),
      /sequenceLength is 4096, but llama-tied reads 128 tokens at most/,
    ],
    ['no model', (r) => delete r['model'], /the key "model" is missing/],
    ['an adapter to start from that is not there', (r) => Object.assign(r, { init: './none' }), /none" is not there/],
  ])('%s is refused by name', async (name, change, sentence) => {
    await refused(['train', recipe(name.replaceAll(' ', '-'), change), '--out', at('never')], sentence);
  });

  it('no YAML in it is refused', async () =>
    refused(['train', write('no.yaml', 'model: [')], /no\.yaml, line 1: not valid YAML/));
});

describe('an adapter', () => {
  beforeAll(async () => {
    fs.mkdirSync(at('run-in'));
    const file = smallRun(at('run-in'), { training: { steps: 2, evalSplit: 0 } });
    expect(await cli(['train', file, '--out', at('run')])).toMatchObject({ code: 0 });
  });
  const copy = (name: string, change: (folder: string) => void) => {
    fs.mkdirSync(at(name));
    for (const file of ['adapter.json', 'adapter.safetensors'])
      fs.copyFileSync(path.join(at('run'), file), path.join(at(name), file));
    change(at(name));
    return at(name);
  };

  it.each<[string, () => string[], RegExp]>([
    [
      'for another model',
      () => evaluate(path.join(data, 'qwen2'), '--adapter', at('run')),
      /does not fit this model.*trained on llama-tied, a llama, and this is a qwen2/,
    ],
    [
      'whose tensors are cut',
      () =>
        evaluate(
          TINY_MODEL,
          '--adapter',
          copy('cut-adapter', (f) => fs.truncateSync(path.join(f, 'adapter.safetensors'), 900)),
        ),
      /cut-adapter\/adapter\.safetensors/,
    ],
    [
      'whose description is damaged',
      () => ['inspect', copy('bad-json', (f) => fs.truncateSync(path.join(f, 'adapter.json'), 40))],
      /bad-json\/adapter\.json is not JSON/,
    ],
    ['that is none', () => ['inspect', data], /holds no adapter; give a run's folder/],
  ])('%s is refused', async (_, args, sentence) => refused(args(), sentence));
});

describe('options', () => {
  it.each<[string, () => string[], RegExp]>([
    [
      'a sequence longer than the context',
      () => evaluate(TINY_MODEL, '--sequence-length', '9999'),
      /9999 tokens .* reads 128 tokens at most/,
    ],
    [
      'a prompt for a model without a tokenizer',
      () => ['generate', '--model', TINY_MODEL, '--prompt', 'Hi'],
      /has no tokenizer/,
    ],
    ['an empty prompt', () => ['generate', '--model', TINY_MODEL, '--prompt', ' '], /The prompt is empty/],
    [
      'a size that is none',
      () => ['plan', '--model', TINY_MODEL, '--dataset', dataset, '--memory', '8 apples'],
      /--memory.*give a size such as 8GiB/,
    ],
    [
      'an unknown engine',
      () => evaluate(TINY_MODEL, '--engine', 'cuda'),
      /--engine.*Allowed choices are auto, tensorflow/,
    ],
    ['--drop without a dataset', () => ['inspect', at('run'), '--drop', '0.5'], /add --dataset/],
  ])('%s is refused', async (_, args, sentence) => refused(args(), sentence));

  it('with --json the sentence is in the answer, too', async () => {
    const { code, stdout } = await cli(['inspect', at('nothing'), '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: expect.stringMatching(/nothing" is not there/) as string,
      exitCode: 2,
    });
  });
});

describe('in a process of its own', () => {
  const ofItsOwn = (words: string[]) => cli(words, { cwd: work });
  it.each<[string, () => string[], RegExp]>([
    ['a model', () => evaluate(write('no-model.gguf', 'just text')), /no-model\.gguf/],
    ['a dataset', () => ['data', write('nothing.csv', ''), '--model', TINY_MODEL], /nothing\.csv" is empty/],
    ['a recipe', () => ['train', write('no-recipe.yaml', 'model: ['), '--out', at('none')], /no-recipe\.yaml, line 1/],
    ['an adapter', () => ['inspect', data], /holds no adapter/],
  ])('%s of each kind is refused likewise', async (_, args, sentence) => refused(args(), sentence, ofItsOwn));

  it('an option is refused likewise through the real bin', async () =>
    refused(
      evaluate(TINY_MODEL, '--engine', 'cuda'),
      /--engine.*Allowed choices/,
      (words) => startBin(words, { cwd: work }).ended,
    ));
});

it('a loss that is no number ends the run with the last good state kept', async () => {
  // A model that has no number for token 95, and data that comes to it in step 3.
  const model = at('nan-model');
  fs.cpSync(path.join(data, 'llama-untied-no-gqa-bias'), model, { recursive: true });
  const weights = path.join(model, 'model.safetensors');
  const bytes = fs.readFileSync(weights);
  const header = Number(bytes.readBigUInt64LE(0));
  const entries = JSON.parse(bytes.toString('utf8', 8, 8 + header)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [, end] = entries['model.embed_tokens.weight']!.data_offsets;
  bytes.writeFloatLE(NaN, 8 + header + end - 4);
  fs.writeFileSync(weights, bytes);
  const rows = [
    [1, 2, 3],
    [4, 5, 6],
    [7, 95, 8],
    [9, 10, 11],
  ].map((input_ids) => ({ input_ids }));
  const file = recipe('nan', (r) => {
    Object.assign(r, { model, dataset: writeJsonLines(at('nan.jsonl'), rows) });
    Object.assign(r['training']!, { steps: 4, batch: 1, shuffle: false, evalSplit: 0 });
  });
  const { code, stderr } = await cli(['train', file, '--out', at('nan')]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/loss of step 3 .*state of step 2 is kept in .*nan/) as string,
  });
  expect(fs.readdirSync(path.join(at('nan'), 'checkpoints'))).toEqual(['step-00000002']);
  expect(readJsonLines(path.join(at('nan'), 'metrics.jsonl'))).toHaveLength(2);
});
