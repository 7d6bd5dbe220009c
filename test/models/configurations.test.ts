import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors, type Dtype } from '../../src-main/models/safetensors.ts';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { temporary } from '../trainer/support.ts';
import { data, largestDifference, loadModel, wholeRow } from './support.ts';

interface Case {
  name: string;
  model: string;
  set: Record<string, unknown>;
  drop: string[];
}
/** What transformers makes of these configurations (data/make_configs.py). */
const cases = JSON.parse(fs.readFileSync(path.join(data, 'configs.json'), 'utf8')) as Case[];
const folder = temporary('configurations');
let expected: Map<string, Float32Array>;

beforeAll(async () => {
  await openEngine('cpu');
  const { tensors } = await readNamedTensors(path.join(data, 'configs-expected.safetensors'));
  expected = new Map(tensors.map((tensor) => [tensor.name, tensor.data]));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

type Tensor = { name: string; dtype: Dtype; shape: number[]; data: ArrayBufferView };

/** A copy of a model with another config.json, and other tensors where they are changed. */
async function changed(
  model: string,
  config: (before: Record<string, unknown>) => object,
  tensors?: (before: Tensor[]) => Tensor[],
): Promise<string> {
  const copy = fs.mkdtempSync(path.join(folder, 'model-'));
  fs.cpSync(path.join(data, model), copy, { recursive: true });
  const file = path.join(copy, 'config.json');
  fs.writeFileSync(file, JSON.stringify(config(JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>)));
  const weights = path.join(copy, 'model.safetensors');
  if (tensors) {
    const before = (await readNamedTensors(weights)).tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const }));
    fs.writeFileSync(weights, encodeSafetensors(tensors(before)));
  }
  return copy;
}

/** Our logits of a model's last 4 input_ids. */
async function logitsOf(place: string, model: string): Promise<Float32Array> {
  const { tensors } = await readNamedTensors(path.join(data, model, 'expected.safetensors')).catch(() => ({
    tensors: [],
  }));
  expect(tensors).toEqual([]); // input_ids are no floats
  const bytes = fs.readFileSync(path.join(data, model, 'expected.safetensors'));
  const header = 8 + Number(bytes.readBigUInt64LE(0));
  const offset = (JSON.parse(bytes.subarray(8, header).toString()) as Record<string, { data_offsets: [number, number] }>)['input_ids']!.data_offsets; // prettier-ignore
  const ids = new Int32Array(Uint8Array.from(bytes.subarray(header + offset[0], header + offset[1])).buffer);
  const loaded = await loadModel(place);
  const logits = loaded.logits(wholeRow(ids));
  const values = Float32Array.from((await logits.data()).slice(-4 * loaded.config.vocabularySize));
  logits.dispose();
  loaded.dispose();
  return values;
}

const without = (config: Record<string, unknown>, drop: string[]) =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !drop.includes(key)));

describe('a configuration', () => {
  it.each(cases)('is read as transformers reads it: $name', async ({ name, model, set, drop }) => {
    const place = await changed(model, (config) => ({ ...without(config, drop), ...set }));
    expect(largestDifference(await logitsOf(place, model), expected.get(name)!)).toBeLessThan(1e-4);
  });

  const rope = (options: object) => ({ rope_parameters: { rope_theta: 10000, ...options } });
  it.each<[RegExp, string, object]>([
    [/"final_logit_softcapping" is set to 30/, 'gemma3', { final_logit_softcapping: 30 }],
    [/"attn_logit_softcapping" is set to 50/, 'gemma3', { attn_logit_softcapping: 50 }],
    [/"use_bidirectional_attention" is set/, 'gemma3', { use_bidirectional_attention: true }],
    [/sliding_window doesn't say how wide/, 'gemma3', { sliding_window: null }],
    [/layer_types has 1 entries for 7 layers/, 'gemma3', { layer_types: ['full_attention'] }],
    [/layer type "chunked_attention"/, 'qwen2', { layer_types: ['full_attention', 'chunked_attention'] }],
    [/RoPE scaling "su" is not supported/, 'llama-tied', rope({ type: 'su', rope_type: 'su' })],
    [/RoPE scaling "proportional"/, 'llama-tied', rope({ rope_type: 'proportional' })],
    [/"linear" lacks its factor/, 'llama-tied', rope({ rope_type: 'linear' })],
    [/"llama3" lacks its low_freq_factor/, 'llama-tied', rope({ rope_type: 'llama3', factor: 8 })],
    [
      /2 and 4 factors for 4 frequencies/,
      'llama-tied',
      rope({ rope_type: 'longrope', short_factor: [1, 1], long_factor: [1, 1, 1, 1] }),
    ],
    [/partial_rotary_factor/, 'llama-tied', { partial_rotary_factor: 0.5 }],
    [/RoPE parameters by kind of layer/, 'qwen2', { rope_parameters: { full_attention: { rope_type: 'default' } } }],
    [
      /RoPE scaling of the sliding-window layers/,
      'gemma3',
      { rope_parameters: { sliding_attention: { rope_type: 'linear', factor: 2 } } },
    ],
    [/activation "relu" is not supported/, 'llama-tied', { hidden_act: 'relu' }],
    [/"rope_parameters\.factor" is not usable/, 'llama-tied', rope({ rope_type: 'linear', factor: 'four' })],
    [/holds "model\.layers\.1\..*config.* says 1 layers/, 'llama-tied', { num_hidden_layers: 1 }],
    [
      /self_attn\.\w_proj\.bias", which a model of the kind llama/,
      'llama-untied-no-gqa-bias',
      { attention_bias: false },
    ],
  ])('that can not be honoured is refused by name: %s', async (message, model, set) => {
    const opened = openTextModel(await changed(model, (config) => ({ ...config, ...set })));
    await expect(opened).rejects.toBeInstanceOf(UserError);
    await expect(opened).rejects.toThrow(message);
  });

  it('that lacks its head opens for its tokenizer, says so, and has no weights to run', async () => {
    const file = await openTextModel(await changed('llama-tied', (config) => ({ ...config, tie_word_embeddings: false }))); // prettier-ignore
    expect(file.warnings).toEqual([expect.stringMatching(/lm_head\.weight, and its config\.json doesn't tie/)]);
    await expect(loadCausalLM(file)).rejects.toThrow(/"lm_head\.weight" is missing/);
    await file.close();
  });

  it('of a model with vision gives its text model, whatever stands outside', async () => {
    const nested = await changed(
      'gemma3',
      (config) => ({
        model_type: 'gemma3',
        eos_token_id: [1, 5],
        hidden_size: 7,
        text_config: without(config, ['eos_token_id']),
      }),
      (tensors) =>
        tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace('model.', 'language_model.model.') })),
    );
    expect(
      largestDifference(await logitsOf(nested, 'gemma3'), await logitsOf(path.join(data, 'gemma3'), 'gemma3')),
    ).toBe(0);
    const file = await openTextModel(nested);
    expect(file.config.eosTokenIds).toEqual([1, 5]);
    await file.close();
  });

  it("of generation's adds its ends", async () => {
    const place = await changed('llama-tied', (config) => ({ ...config, eos_token_id: 2 }));
    fs.writeFileSync(path.join(place, 'generation_config.json'), JSON.stringify({ eos_token_id: [2, 7, 9] }));
    const file = await openTextModel(place);
    expect(file.config.eosTokenIds).toEqual([2, 7, 9]);
    await file.close();
  });
});

describe('a folder', () => {
  it('of a bare decoder, without the prefix model., opens', async () => {
    const bare = await changed('llama-tied', (config) => config, (tensors) => tensors.map((t) => ({ ...t, name: t.name.replace('model.', '') }))); // prettier-ignore
    expect(
      largestDifference(
        await logitsOf(bare, 'llama-tied'),
        await logitsOf(path.join(data, 'llama-tied'), 'llama-tied'),
      ),
    ).toBe(0);
  });

  it('without an embedding takes the head that is tied to it', async () => {
    const place = await changed('llama-tied', (config) => config, (tensors) => tensors.map((t) => ({ ...t, name: t.name.replace('model.embed_tokens', 'lm_head') }))); // prettier-ignore
    expect(
      largestDifference(
        await logitsOf(place, 'llama-tied'),
        await logitsOf(path.join(data, 'llama-tied'), 'llama-tied'),
      ),
    ).toBe(0);
  });

  it.each<[RegExp, object]>([
    [
      /bitsandbytes, 4 bit.*fetch the original folder/,
      { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } },
    ],
    [/bitsandbytes, 8 bit/, { quantization_config: { quant_method: 'bitsandbytes', load_in_8bit: true } }],
    [/with FP8,/, { quantization_config: { quant_method: 'fp8' } }],
    [/with GPTQ,/, { quantization_config: { quant_method: 'gptq', bits: 4 } }],
    [/with AWQ,/, { quantization_config: { quant_method: 'awq' } }],
    [/with compressed-tensors/, { quantization_config: { quant_method: 'compressed-tensors' } }],
    [/with compressed-tensors/, { compression_config: { format: 'pack-quantized' } }],
    [/with HQQ,/, { quantization_config: { quant_method: 'hqq' } }],
    [/with EETQ,/, { quantization_config: { quant_method: 'eetq' } }],
    [/with Quanto,/, { quantization_config: { quant_method: 'quanto' } }],
    [/with MXFP4,/, { model_type: 'gpt_oss', quantization_config: { quant_method: 'mxfp4' } }],
    [/with "novel",/, { quantization_config: { quant_method: 'novel' } }],
    [/with MLX \(4 bit\)/, { quantization: { group_size: 64, bits: 4 } }],
    [/with MLX \(4 bit\)/, { quantization_config: { group_size: 64, bits: 4 } }],
    [
      /with bitsandbytes, 4 bit/,
      {
        model_type: 'gemma3',
        text_config: { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } },
      },
    ],
  ])('that is quantized is named before anything else: %s', async (message, set) => {
    const place = await changed('llama-tied', (config) => ({ ...config, ...set }));
    fs.rmSync(path.join(place, 'model.safetensors'));
    const opened = openTextModel(place);
    await expect(opened).rejects.toBeInstanceOf(UserError);
    await expect(opened).rejects.toThrow(message);
  });

  it.each<[string, Dtype]>([
    ['self_attn.q_proj.qweight', 'I32'],
    ['self_attn.q_proj.weight', 'U8'],
    ['self_attn.q_proj.weight', 'F8_E4M3'],
    ['self_attn.q_proj.weight_scale_inv', 'F32'],
  ])('whose configuration hides that (%s as %s) is named, too', async (name, dtype) => {
    const place = await changed('llama-tied', (config) => config, (tensors) => [
      ...tensors.filter((tensor) => !tensor.name.includes('0.self_attn.q_proj')),
      { name: `model.layers.0.${name}`, dtype, shape: [8], data: new Uint8Array(dtype === 'I32' || dtype === 'F32' ? 32 : 8) },
    ]); // prettier-ignore
    await expect(openTextModel(place)).rejects.toThrow(/holds a model quantized with/);
  });

  it('with pickles, with a GGUF file, or of an adapter says what to do', async () => {
    const place = await changed('llama-tied', (config) => config);
    fs.renameSync(path.join(place, 'model.safetensors'), path.join(place, 'pytorch_model.bin'));
    await expect(openTextModel(place)).rejects.toThrow(/pytorch_model\.bin is a pickle/);
    fs.writeFileSync(path.join(place, 'model-q8.gguf'), '');
    await expect(openTextModel(place)).rejects.toThrow(/open its model-q8\.gguf instead/);
    fs.rmSync(path.join(place, 'config.json'));
    fs.writeFileSync(path.join(place, 'adapter_config.json'), '{}');
    await expect(openTextModel(place)).rejects.toThrow(/it is an adapter/);
  });

  it('that lacks shards says which', async () => {
    const place = await changed('llama-tied', (config) => config);
    const names = Array.from({ length: 5 }, (_, i) => `model-0000${i + 1}-of-00005.safetensors`);
    fs.writeFileSync(path.join(place, 'model.safetensors.index.json'), JSON.stringify({ weight_map: Object.fromEntries(names.map((name, i) => [`t${i}`, name])) })); // prettier-ignore
    fs.renameSync(path.join(place, 'model.safetensors'), path.join(place, names[0]!));
    await expect(openTextModel(place)).rejects.toThrow(
      /lacks 4 of 5 files .*00002-of-00005.*, …\); fetch the whole folder/,
    );
  });
});
