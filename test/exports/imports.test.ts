import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { pipeline } from 'node:stream/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatAdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { ZipFile } from 'yazl';
import { openEngine } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { writeGgufLora } from '../../src-main/exports/gguf-lora.ts';
import { readAnyAdapter } from '../../src-main/exports/read-any.ts';
import { readShareFile } from '../../src-main/exports/read-share-file.ts';
import { writeShareFile } from '../../src-main/exports/share-file.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import type { ModelConfig } from '../../src-main/models/types.ts';
import type { StoredAdapter } from '../../src-main/trainer/stored-adapter.ts';
import { TINY_MODEL, temporary } from '../trainer/support.ts';
import { randomAdapter } from './support.ts';

const folder = temporary('imports');
const at = (name: string) => path.join(folder, name);
const recipe = { dataset: [{ path: '/home/someone/secret project/rows.jsonl', weight: 1 }] };
let stored: StoredAdapter;
let config: ModelConfig;

beforeAll(async () => {
  await openEngine('cpu');
  const file = await openTextModel(TINY_MODEL);
  config = file.config;
  await file.close();
  stored = await randomAdapter(TINY_MODEL, {}, undefined, recipe);
  await writeShareFile(at('whole.effilora'), stored, { card: '# Card', headMap: '<svg/>', samples: [] });
});

/** A zip with these members. */
async function zipped(name: string, members: Record<string, { bytes: Buffer; compress?: boolean }>): Promise<string> {
  const zip = new ZipFile();
  for (const [member, { bytes, compress = false }] of Object.entries(members))
    zip.addBuffer(bytes, member, { compress });
  zip.end();
  await pipeline(zip.outputStream, fs.createWriteStream(at(name)));
  return at(name);
}

/** A copy with some of its bytes replaced, wherever they occur. */
function replaced(source: string, name: string, from: Buffer | string, to: Buffer | string): string {
  const bytes = fs.readFileSync(source);
  for (let place = bytes.indexOf(from); place >= 0; place = bytes.indexOf(from, place + 1))
    bytes.set(Buffer.from(to), place);
  fs.writeFileSync(at(name), bytes);
  return at(name);
}

const description = () => ({ bytes: Buffer.from(formatAdapterDescription(stored.description)) });
const tensors = { bytes: Buffer.alloc(64) };

describe('an .effilora file', () => {
  it('gives back the adapter, without the folders of the machine it was made on', async () => {
    const read = await readShareFile(at('whole.effilora'));
    expect(read.tensors).toEqual(stored.tensors);
    expect(read.description.heads).toEqual(stored.description.heads);
    expect(fs.readFileSync(at('whole.effilora')).includes('secret')).toBe(false);
    expect(read.description.recipe).toMatchObject({ dataset: [{ path: 'rows.jsonl', weight: 1 }] });
  });

  it('is read by any unzip', async () => {
    const { stdout } = await promisify(execFile)('python3', ['-m', 'zipfile', '-t', at('whole.effilora')]);
    expect(stdout).not.toContain('corrupt');
  });

  const hostile: [string, RegExp, () => Promise<string> | string][] = [
    [
      'a path escape',
      /escape\.effilora is not taken in: .*relative path/,
      async () =>
        replaced(await zipped('e.zip', { 'xx/adapter.json': description() }), 'escape.effilora', 'xx/', '../'),
    ],
    [
      'an absolute path',
      /is not taken in: .*absolute path/,
      async () =>
        replaced(await zipped('a.zip', { 'x/etc/passwd': description() }), 'absolute.effilora', 'x/etc', '//etc'),
    ],
    [
      'a file that is none of an adapter',
      /is not taken in: it holds "run\.sh", which is no file of an adapter/,
      () => zipped('extra.effilora', { 'adapter.json': description(), 'run.sh': tensors }),
    ],
    [
      'many files',
      /is not taken in: it holds 500 files/,
      () => zipped('many.effilora', Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i}`, tensors]))),
    ],
    [
      'a bomb in a text',
      /is not taken in: its adapter\.json would unpack to 67108864 bytes/,
      () =>
        zipped('bomb.effilora', {
          'adapter.json': { bytes: Buffer.alloc(64 << 20), compress: true },
          'adapter.safetensors': tensors,
        }),
    ],
    [
      'a bomb in the tensors',
      /is not taken in: its adapter\.safetensors claims 67108864 bytes, compressed/,
      () =>
        zipped('bomb2.effilora', {
          'adapter.json': description(),
          'adapter.safetensors': { bytes: Buffer.alloc(64 << 20), compress: true },
        }),
    ],
    [
      'a bomb that lies about its size',
      /lie\.effilora (is damaged|is not taken in)/,
      async () => {
        const bytes = Buffer.alloc(31_415_926);
        const zip = await zipped('l.zip', {
          'adapter.json': { bytes, compress: true },
          'adapter.safetensors': tensors,
        });
        const size = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
        return replaced(zip, 'lie.effilora', size(bytes.length), size(1000));
      },
    ],
    [
      'no adapter.json',
      /is not taken in: it holds no adapter\.json/,
      () => zipped('bare.effilora', { 'adapter.safetensors': tensors }),
    ],
    [
      'a description of another kind',
      /other\.effilora, adapter\.json, field method/,
      () =>
        zipped('other.effilora', {
          'adapter.json': { bytes: Buffer.from('{"formatVersion":1}') },
          'adapter.safetensors': tensors,
        }),
    ],
    [
      'truncated tensors',
      /cut\.effilora, adapter\.safetensors is not a whole safetensors file/,
      () => zipped('cut.effilora', { 'adapter.json': description(), 'adapter.safetensors': tensors }),
    ],
    [
      'the first half of a file',
      /half\.effilora is no \.effilora file/,
      () => {
        const bytes = fs.readFileSync(at('whole.effilora'));
        fs.writeFileSync(at('half.effilora'), bytes.subarray(0, bytes.length / 2));
        return at('half.effilora');
      },
    ],
  ];

  it.each(hostile)('with %s is refused in one sentence', async (_, message, make) => {
    const place = await make();
    const before = fs.readdirSync(folder);
    const error = await readShareFile(place).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
    expect(fs.readdirSync(folder)).toEqual(before);
  });
});

describe('a GGUF LoRA file', () => {
  it('comes back as the plain LoRA it was written from', async () => {
    const plain = await randomAdapter(TINY_MODEL, { name: 'lora', heads: 1 });
    const { method } = plain.description;
    await writeGgufLora(at('lora.gguf'), { options: method, tensors: plain.tensors }, config, 'lora', 'f32');
    const read = await readAnyAdapter(at('lora.gguf'), config);
    expect(read.description.method).toMatchObject({ name: 'lora', rank: 4, alpha: 8, targets: method.targets });
    const byName = (tensors: StoredAdapter['tensors']) =>
      Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]));
    expect(byName(read.tensors)).toEqual(byName(plain.tensors));
  });

  it('is refused for another architecture, as a whole model, or cut off', async () => {
    await expect(readAnyAdapter(at('lora.gguf'), { ...config, architecture: 'qwen2' })).rejects.toThrow(
      /was made for the architecture llama, the base model's is qwen2/,
    );
    const model = path.join(import.meta.dirname, '../models/data/every-type.gguf');
    await expect(readAnyAdapter(model, config)).rejects.toThrow(UserError);
    const bytes = fs.readFileSync(at('lora.gguf'));
    fs.writeFileSync(at('cut.gguf'), bytes.subarray(0, bytes.length - 100));
    await expect(readAnyAdapter(at('cut.gguf'), config)).rejects.toThrow(/ends behind the end of the file/);
  });
});

describe('effilora import', () => {
  const effilora = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['bin/effilora.mjs', 'import', ...args, '--data', at('data'), '--json']).then(
      ({ stdout }) => ({ code: 0, stdout }),
      (error: { code: number; stdout: string }) => error,
    );

  it('takes one into the library, and leaves the library as it was when it is a bad one', async () => {
    const good = await effilora(at('whole.effilora'), '--model', TINY_MODEL);
    expect(JSON.parse(good.stdout)).toMatchObject({ name: 'whole', method: 'effilora', origin: 'imported' });
    const before = fs.readdirSync(at('data/adapters'));
    expect(before.length).toBe(1);
    const bad = await effilora(at('bomb.effilora'), '--model', TINY_MODEL);
    expect(bad.code).toBe(2);
    const other = path.join(import.meta.dirname, '../models/data/qwen2');
    const wrong = await effilora(at('whole.effilora'), '--model', other);
    expect(wrong.code).toBe(2);
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      error: expect.stringMatching(/does not fit this model/) as string,
    });
    expect(fs.readdirSync(at('data/adapters'))).toEqual(before);
  });
});
