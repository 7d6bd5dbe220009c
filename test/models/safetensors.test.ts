import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src-main/engine/types.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { data } from './support.ts';

const source = path.join(data, 'llama-tied');
const bytes = fs.readFileSync(path.join(source, 'model.safetensors'));
const headerBytes = Number(bytes.readBigUInt64LE(0));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-safetensors-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

async function headerOf(content: Uint8Array) {
  const file = path.join(folder, 'changed.safetensors');
  fs.writeFileSync(file, content);
  const reader = await FileReader.open(file);
  try {
    return await readSafetensorsHeader(reader);
  } finally {
    await reader.close();
  }
}

/** The file with its JSON header rewritten; the tensors' bytes stay. */
function withHeader(
  change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void,
  changeText = (text: string) => text,
) {
  const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString());
  change(header);
  const text = Buffer.from(changeText(JSON.stringify(header)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([size, text, bytes.subarray(8 + headerBytes)]);
}

const NAME = 'model.layers.0.self_attn.q_proj.weight';

describe('safetensors', () => {
  it('names the tensor whose entry lies', async () => {
    const cases: [RegExp, Uint8Array][] = [
      [/claims 9007199254740991 bytes/, Buffer.concat([Buffer.from('ffffffffffff1f00', 'hex'), bytes.subarray(8)])],
      [/is not JSON/, Buffer.concat([bytes.subarray(0, 8), Buffer.from('x'), bytes.subarray(9)])],
      [new RegExp(`"${NAME}".*shape needs`), withHeader((header) => (header[NAME]!.shape = [1e9, 1e6]))],
      [new RegExp(`"${NAME}".*no valid`), withHeader((header) => (header[NAME]!.shape = [-1, 32]))],
      [new RegExp(`"${NAME}".*no valid`), withHeader((header) => (header[NAME]!.dtype = 'F7'))],
      [
        new RegExp(`"${NAME}" ends behind`),
        withHeader((header) => (header[NAME]!.data_offsets = header[NAME]!.data_offsets.map((at) => at + 1e9))),
      ],
      [
        /lie over each other/,
        withHeader((header) => (header[NAME]!.data_offsets = header[NAME.replace('q_', 'o_')]!.data_offsets)),
      ],
    ];
    const twice = withHeader(
      () => {},
      (text) => text.replace(NAME.replace('q_', 'o_'), NAME),
    );
    cases.push([/bytes before tensor .* belong to none/, twice], [/last 3 bytes belong to no tensor/, Buffer.concat([bytes, Buffer.alloc(3)])]); // prettier-ignore
    for (const [message, content] of cases) {
      const opened = headerOf(content);
      await expect(opened).rejects.toBeInstanceOf(UserError);
      await expect(opened).rejects.toThrow(message);
      await expect(opened).rejects.toThrow('changed.safetensors');
    }
  });

  it('refuses a file cut off anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - 1 }), async (end) => {
        await expect(headerOf(bytes.subarray(0, end))).rejects.toBeInstanceOf(UserError);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('survives any byte of its header being wrong', async () => {
    const byte = fc.record({
      at: fc.integer({ min: 0, max: headerBytes + 7 }),
      value: fc.integer({ min: 0, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(byte, { minLength: 1, maxLength: 4 }), async (changes) => {
        const copy = Uint8Array.from(bytes);
        changes.forEach(({ at, value }) => (copy[at] = value));
        const header = await headerOf(copy).catch((error: unknown) => {
          expect(error).toBeInstanceOf(UserError);
          return undefined;
        });
        for (const { offset, byteLength } of header?.tensors.values() ?? [])
          expect(offset + byteLength).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 400, seed: 2 },
    );
  });

  it('reads a model in shards, and names the shard that is missing', async () => {
    const sharded = path.join(folder, 'sharded');
    fs.mkdirSync(sharded);
    fs.copyFileSync(path.join(source, 'config.json'), path.join(sharded, 'config.json'));
    const { tensors } = await readNamedTensors(path.join(source, 'model.safetensors'));
    const weight_map: Record<string, string> = {};
    [tensors.slice(0, 9), tensors.slice(9)].forEach((kept, i) => {
      const file = `model-0000${i + 1}-of-00002.safetensors`;
      kept.forEach(({ name }) => (weight_map[name] = file));
      fs.writeFileSync(path.join(sharded, file), encodeSafetensors(kept.map((t) => ({ ...t, dtype: 'F32' }))));
    });
    fs.writeFileSync(path.join(sharded, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    const [whole, parts] = await Promise.all([openTextModel(source), openTextModel(sharded)]);
    for (const { name } of whole.tensors) expect(await parts.readTensor(name)).toEqual(await whole.readTensor(name));
    await Promise.all([whole.close(), parts.close()]);
    fs.rmSync(path.join(sharded, 'model-00002-of-00002.safetensors'));
    await expect(openTextModel(sharded)).rejects.toThrow('model-00002-of-00002.safetensors');
  });
});
