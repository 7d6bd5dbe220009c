import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src-main/engine/types.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { configFromGguf } from '../../src-main/models/gguf/config.ts';
import { dequantize } from '../../src-main/models/gguf/dequantize.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import type { GgufValue } from '../../src-main/models/gguf/types.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { data } from './support.ts';

const gguf = path.join(data, 'every-type.gguf');
const bytes = fs.readFileSync(gguf);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-gguf-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** Reads a GGUF's header from these bytes. */
async function headerOf(content: Uint8Array, name = 'changed.gguf') {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  const reader = await FileReader.open(file);
  try {
    return await readGgufHeader(reader);
  } finally {
    await reader.close();
  }
}

function changed(change: (copy: DataView) => void): Uint8Array {
  const copy = Uint8Array.from(bytes);
  change(new DataView(copy.buffer));
  return copy;
}

describe('GGUF', () => {
  it.each(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'])(
    'dequantizes %s to the bytes of the package gguf',
    async (type) => {
      const reader = await FileReader.open(gguf);
      const tensor = (await readGgufHeader(reader)).tensors.get(`${type}.weight`)!;
      const ours = dequantize(await reader.read(tensor.offset, tensor.byteLength), tensor.type);
      await reader.close();
      const peer = await FileReader.open(path.join(data, 'every-type-expected.safetensors'));
      const entry = (await readSafetensorsHeader(peer)).tensors.get(`${type}.weight`)!;
      const expected = await readFloats(peer, entry);
      await peer.close();
      expect(tensor).toMatchObject({ type, shape: [2, 512] });
      expect(Buffer.from(ours.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    },
  );

  it('reads metadata of every kind it holds', async () => {
    const { metadata, version } = await headerOf(bytes);
    expect(version).toBe(3);
    expect(metadata.get('general.architecture')).toBe('llama');
    expect(metadata.get('llama.block_count')).toBe(1);
    expect(metadata.get('tokenizer.ggml.tokens')).toEqual(['a', 'b', 'ü']);
  });

  it('names the place of a lie in the header', async () => {
    const huge = 2n ** 60n;
    const cases: [RegExp, Uint8Array][] = [
      [/does not begin with GGUF/, changed((view) => view.setUint8(0, 0x58))],
      [/version is 9/, changed((view) => view.setUint32(4, 9, true))],
      [/impossible/, changed((view) => view.setBigUint64(8, huge, true))],
      [/claims 1000000 tensors/, changed((view) => view.setBigUint64(8, 1_000_000n, true))],
      [/claims 4000000000 metadata/, changed((view) => view.setBigUint64(16, 4_000_000_000n, true))],
      [/bytes of text before byte 32/, changed((view) => view.setBigUint64(24, 1n << 40n, true))],
    ];
    for (const [message, content] of cases) {
      const opened = headerOf(content);
      await expect(opened).rejects.toBeInstanceOf(UserError);
      await expect(opened).rejects.toThrow(message);
      await expect(opened).rejects.toThrow('changed.gguf');
    }
  });

  it('refuses a file cut off anywhere, in one sentence', async () => {
    const ends = [...(await headerOf(bytes)).tensors.values()].map(({ offset, byteLength }) => offset + byteLength);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: Math.max(...ends) - 1 }), async (end) => {
        await expect(headerOf(bytes.subarray(0, end))).rejects.toBeInstanceOf(UserError);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('survives any byte of its header being wrong', async () => {
    const headerBytes = Math.min(...[...(await headerOf(bytes)).tensors.values()].map(({ offset }) => offset));
    const byte = fc.record({
      at: fc.integer({ min: 0, max: headerBytes - 1 }),
      value: fc.integer({ min: 0, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(byte, { minLength: 1, maxLength: 6 }), async (changes) => {
        const content = changed((view) => changes.forEach(({ at, value }) => view.setUint8(at, value)));
        const { tensors } = await headerOf(content).catch((error: unknown) => {
          expect(error).toBeInstanceOf(UserError);
          return { tensors: new Map() as Awaited<ReturnType<typeof headerOf>>['tensors'] };
        });
        for (const { offset, byteLength } of tensors.values())
          expect(offset + byteLength).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 400, seed: 2 },
    );
  });

  it('refuses heads that can not be', async () => {
    const tensor = { type: 'f32', offset: 0, byteLength: 4 } as const;
    const fields = (heads: number, keyValueHeads: number) =>
      new Map<string, GgufValue>([
        ['general.architecture', 'llama'],
        ['llama.block_count', 1],
        ['llama.embedding_length', 64],
        ['llama.feed_forward_length', 96],
        ['llama.context_length', 128],
        ['llama.attention.head_count', heads],
        ['llama.attention.head_count_kv', keyValueHeads],
        ['llama.attention.layer_norm_rms_epsilon', 1e-5],
      ]);
    const tensors = new Map([['token_embd.weight', { ...tensor, name: 'token_embd.weight', shape: [96, 64] }]]);
    const config = (heads: number, keyValueHeads: number, factors?: number[]) =>
      configFromGguf({ version: 3, metadata: fields(heads, keyValueHeads), entries: new Map(), tensors }, 'm.gguf', {
        divisors: factors,
      });
    expect(config(4, 2)).toMatchObject({ headSize: 16, keyValueHeads: 2, tiedEmbeddings: true });
    expect(() => config(4, 3)).toThrow(/m\.gguf: 4 attention heads of 16 over 3/);
    expect(() => config(7, 7)).toThrow(UserError);
    expect(() => config(4, 2, [1, 2])).toThrow(/RoPE tensor \(divisors\) has 2 numbers where 8/);
    expect(() => config(0, 2)).toThrow(/attention\.head_count/);
  });

  it('names what a language model lacks', async () => {
    fs.writeFileSync(path.join(folder, 'model.gguf'), bytes);
    await expect(openTextModel(path.join(folder, 'model.gguf'))).rejects.toThrow(/model\.gguf.*"llama\./);
  });
});
