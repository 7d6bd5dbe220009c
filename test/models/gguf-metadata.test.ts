import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { ggufValue, writeGguf } from '../../src-main/models/gguf/write.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { ggufVariant, numbers, writeGgufVariant, type Variant } from '../support/gguf-variant.ts';
import { openLlamaCpp } from '../support/llama-cpp.ts';
import { temporary } from '../trainer/support.ts';
import { loadModel, wholeRow } from './support.ts';

const folder = temporary('gguf-metadata');
const at = (name: string) => path.join(folder, name);
const IDS = Array.from({ length: 40 }, (_, t) => (t * 37 + 11) % 96);
const { u32, f32, string } = ggufValue;

beforeAll(async () => void (await openEngine('cpu')));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Mean -log p of IDS by llama.cpp. */
async function theirs(file: string): Promise<number> {
  const judge = await openLlamaCpp(file);
  const found = await judge.nextTokenProbabilities(IDS, 1);
  await judge.dispose();
  const logs = found.flatMap(({ position, probabilities }) => {
    const next = IDS[position + 1];
    return next === undefined ? [] : [Math.log(probabilities.get(next as never)!)];
  });
  expect(logs.length).toBe(IDS.length - 1);
  return -logs.reduce((sum, log) => sum + log, 0) / logs.length;
}

async function ours(file: string): Promise<number> {
  const model = await loadModel(file);
  const logs = await model.labelLogProbabilities(wholeRow(Int32Array.from(IDS)));
  model.dispose();
  return -logs.reduce((sum, log) => sum + log, 0) / (IDS.length - 1);
}

const known = new Map<string, number>();
/** The same of a model as it is. */
async function unchanged(model: string): Promise<number> {
  if (!known.has(model)) known.set(model, await ours(await writeGgufVariant(at('itself.gguf'), model)));
  return known.get(model)!;
}

const yarn = {
  'llama.rope.scaling.type': string('yarn'),
  'llama.rope.scaling.factor': f32(4),
  'llama.rope.scaling.original_context_length': u32(32),
};
const longrope = {
  'llama.rope.scaling.type': string('longrope'),
  'llama.rope.scaling.original_context_length': u32(32),
  'llama.rope.scaling.attn_factor': f32(1.2),
};
const longropeTensors = [
  numbers('rope_factors_short.weight', [1, 1.5, 2, 2.5]),
  numbers('rope_factors_long.weight', [2, 3, 4, 5]),
];

/** What llama.cpp computes differently, or leaves alone: `plain` names the variants that must not differ from the model itself. */
const VARIANTS: [string, string, Variant, 'plain'?][] = [
  ['a factor without a type', 'llama-tied', { metadata: { 'llama.rope.scaling.factor': f32(4) } }],
  ["the old factor's name", 'llama-tied', { metadata: { 'llama.rope.scale_linear': f32(4) } }],
  ['no scaling in spite of a factor', 'llama-tied', { metadata: { 'llama.rope.scaling.type': string('none'), 'llama.rope.scaling.factor': f32(4) } }, 'plain'],
  ['a linear scaling with an attention factor', 'llama-tied', { metadata: { 'llama.rope.scaling.factor': f32(4), 'llama.rope.scaling.attn_factor': f32(1.5) } }],
  ['YaRN', 'llama-tied', { metadata: yarn }],
  ['YaRN with an attention factor', 'llama-tied', { metadata: { ...yarn, 'llama.rope.scaling.attn_factor': f32(1.5) } }],
  ['YaRN with keys that are not read', 'llama-tied', { metadata: { ...yarn, 'llama.rope.scaling.yarn_log_multiplier': f32(0.5), 'llama.rope.scaling.yarn_beta_fast': f32(2) } }],
  ['divisors with a linear factor', 'llama-tied', { metadata: { 'llama.rope.scaling.factor': f32(2) }, tensors: [numbers('rope_freqs.weight', [1, 2, 3, 4])] }],
  ['longrope', 'llama-tied', { metadata: longrope, tensors: longropeTensors }],
  ['a window that llama does not have', 'llama-tied', { metadata: { 'llama.attention.sliding_window': u32(8) } }, 'plain'],
  ['scales and caps that llama does not have', 'llama-tied', { metadata: { 'llama.attention.scale': f32(0.1), 'llama.final_logit_softcapping': f32(2) } }, 'plain'],
  ['a window that qwen3 does not have', 'qwen3', { metadata: { 'qwen3.attention.sliding_window': u32(8) } }, 'plain'],
  ['windows by another period', 'gemma3', { metadata: { 'gemma3.attention.sliding_window_pattern': u32(3) } }],
  ['no windows', 'gemma3', { without: ['gemma3.attention.sliding_window'] }],
  ["another base of the windows' layers", 'gemma3', { metadata: { 'gemma3.rope.freq_base_swa': f32(1000) } }],
  ['a scaling of the layers without window', 'gemma3', { metadata: { 'gemma3.rope.scaling.factor': f32(64) } }],
]; // prettier-ignore

describe('a GGUF model', () => {
  it.each(VARIANTS)('with %s (%s) is what llama.cpp makes of it', async (_, model, variant, plain) => {
    const file = await writeGgufVariant(at('variant.gguf'), model, variant);
    const [here, there] = [await ours(file), await theirs(file)];
    expect(Math.abs(here - there)).toBeLessThan(2e-3); // llama.cpp keeps keys and values in f16
    const itself = await unchanged(model);
    if (plain) expect(here).toBeCloseTo(itself, 6);
    else expect(Math.abs(here - itself)).toBeGreaterThan(5e-3);
  });

  it.each<[RegExp, string, Variant]>([
    [/RoPE scaling "dynamic" is not supported/, 'llama-tied', { metadata: { 'llama.rope.scaling.type': string('dynamic') } }],
    [/a mixture of 8 experts/, 'llama-tied', { metadata: { 'llama.expert_count': u32(8) } }],
    [/attention to later tokens/, 'llama-tied', { metadata: { 'llama.attention.causal': ggufValue.bool(false) } }],
    [/a cap on logits/, 'gemma3', { metadata: { 'gemma3.final_logit_softcapping': f32(30) } }],
    [/rope\.dimension_count is 4 and a head has 8/, 'llama-tied', { metadata: { 'llama.rope.dimension_count': u32(4) } }],
    [/attention\.value_length is 16/, 'llama-tied', { metadata: { 'llama.attention.value_length': u32(16) } }],
    [/holds "blk\.0\.attn_q_norm\.weight"/, 'llama-tied', { tensors: [numbers('blk.0.attn_q_norm.weight', [1, 1, 1, 1, 1, 1, 1, 1])] }],
    [/holds "blk\.0\.ffn_gate_exps\.weight"/, 'llama-tied', { tensors: [numbers('blk.0.ffn_gate_exps.weight', [1])] }],
    [/holds "blk\.2\.attn_norm\.weight".* says 2 layers/, 'llama-tied', { tensors: [numbers('blk.2.attn_norm.weight', [1])] }],
    [/holds "rope_freqs\.weight"/, 'qwen3', { tensors: [numbers('rope_freqs.weight', [1, 1, 1, 1, 1, 1, 1, 1])] }],
    [/is a LoRA adapter, no model/, 'llama-tied', { metadata: { 'general.type': string('adapter') } }],
  ])('that can not be run as it is meant is refused by name: %s', async (message, model, variant) => {
    const opened = openTextModel(await writeGgufVariant(at('refused.gguf'), model, variant));
    await expect(opened).rejects.toBeInstanceOf(UserError);
    await expect(opened).rejects.toThrow(message);
  }); // prettier-ignore
});

describe('a GGUF model in parts', () => {
  const part = (i: number) => at(`split-0000${i}-of-00003.gguf`);
  const split = (i: number) => ({ 'split.no': u32(i), 'split.count': u32(3), 'split.tensors.count': u32(20) });

  /** As llama-gguf-split writes it: all metadata in the first part. */
  beforeAll(async () => {
    const { entries, tensors } = await ggufVariant('llama-tied');
    expect(tensors.length).toBe(20);
    for (const i of [0, 1, 2])
      await writeGguf(
        part(i + 1),
        new Map([...(i ? [] : entries), ...Object.entries(split(i))]),
        tensors.slice(i * 7, i * 7 + 7),
      );
    await writeGguf(at('whole.gguf'), entries, tensors);
  });

  it.each([1, 2, 3])('opens whole from part %i', async (i) => {
    const [parts, whole] = await Promise.all([openTextModel(part(i)), openTextModel(at('whole.gguf'))]);
    expect(parts.config).toEqual(whole.config);
    expect(parts.name).toBe('split');
    for (const { name } of whole.tensors) expect(await parts.readTensor(name)).toEqual(await whole.readTensor(name));
    const first = await openTextModel(part(1));
    expect(await parts.sha256()).toBe(await first.sha256());
    await Promise.all([parts.close(), whole.close(), first.close()]);
    expect(await ours(part(i))).toBeCloseTo(await ours(at('whole.gguf')), 6);
  });

  it('says which part it is and which are missing, and what its name must be', async () => {
    const alone = fs.mkdtempSync(at('alone-'));
    fs.copyFileSync(part(2), path.join(alone, path.basename(part(2))));
    await expect(openTextModel(path.join(alone, path.basename(part(2))))).rejects.toThrow(
      /is part 2 of 3 of a model, and split-00001-of-00003\.gguf, split-00003-of-00003\.gguf are missing/,
    );
    fs.copyFileSync(part(2), path.join(alone, 'model.gguf'));
    await expect(openTextModel(path.join(alone, 'model.gguf'))).rejects.toThrow(
      /name the parts …-00002-of-00003\.gguf/,
    );
    for (const i of [1, 3]) fs.copyFileSync(part(1), path.join(alone, path.basename(part(i))));
    await expect(openTextModel(path.join(alone, path.basename(part(2))))).rejects.toThrow(
      /00003-of-00003\.gguf is no part 3 of 3/,
    );
  });
});

describe('a GGUF header', () => {
  it('holds arrays of numbers as compactly as the file', async () => {
    const file = await writeGgufVariant(at('arrays.gguf'), 'llama-tied', {
      metadata: { 'x.many': ggufValue.f32s([1, 2.5]) },
    });
    const { FileReader } = await import('../../src-main/models/file-reader.ts');
    const { readGgufHeader } = await import('../../src-main/models/gguf/header.ts');
    const reader = await FileReader.open(file);
    const { metadata } = await readGgufHeader(reader).finally(() => reader.close());
    expect(metadata.get('x.many')).toEqual(Float32Array.of(1, 2.5));
    expect(metadata.get('tokenizer.ggml.token_type')).toBeInstanceOf(Int32Array);
  });

  it('that names a key twice, or an array without end, is refused at once', async () => {
    const { entries, tensors } = await ggufVariant('llama-tied');
    const twice = new Map([...entries, ['llama.block_counx', u32(2)]]);
    await writeGguf(at('twice.gguf'), twice, tensors);
    const bytes = fs.readFileSync(at('twice.gguf'));
    bytes.set(Buffer.from('llama.block_count'), bytes.indexOf('llama.block_counx'));
    fs.writeFileSync(at('twice.gguf'), bytes);
    await expect(openTextModel(at('twice.gguf'))).rejects.toThrow(/names "llama\.block_count" twice/);
    const endless = ggufValue.f32s([1]);
    new DataView(endless.buffer, endless.byteOffset).setBigUint64(8, 100_000_000n, true);
    await writeGgufVariant(at('endless.gguf'), 'llama-tied', { metadata: { 'x.many': endless } });
    await expect(openTextModel(at('endless.gguf'))).rejects.toThrow(/claims 100000000 array entries/);
  });
});
