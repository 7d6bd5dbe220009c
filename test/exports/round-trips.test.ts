import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import type { ExportRequest } from '../../src-main/exports/request.ts';
import { quantize } from '../../src-main/models/gguf/quantize.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { data, largestDifference, wholeRow } from '../models/support.ts';
import { runPython } from '../support/python.ts';
import { temporary, writeTokens } from '../trainer/support.ts';
import { writeRandomAdapter } from './support.ts';

const folder = temporary('round-trips');
const at = (name: string) => path.join(folder, name);
const peers = fileURLToPath(new URL('./peers.py', import.meta.url));
const IDS = Array.from({ length: 24 }, (_, t) => (t * 37 + 11) % 96);

/** Our logits on IDS. */
async function ours(model: string, adapter?: string): Promise<Float32Array> {
  const opened = await openForRunning({ model, adapter, engine: 'tensorflow' }, () => {});
  const logits = languageOf(opened.model).logits(wholeRow(Int32Array.from(IDS)), { adaptation: opened.adapter });
  const values = Float32Array.from(await logits.data());
  logits.dispose();
  await opened.close();
  return values;
}

const theirs = async (name: string) =>
  (await readNamedTensors(at(`${name}.logits`))).tensors.find((tensor) => tensor.name === 'logits')!.data;

interface Case {
  name: string;
  model: string;
  changes: Parameters<typeof writeRandomAdapter>[2];
  request: Partial<ExportRequest> & Pick<ExportRequest, 'to'>;
  sizes?: Parameters<typeof writeRandomAdapter>[3];
}
const exported: Case[] = [
  { name: 'effilora, rank r', model: 'llama-tied', changes: {}, request: { to: 'peft' } },
  { name: 'effilora, rank N * r', model: 'llama-tied', changes: {}, request: { to: 'peft', form: 'rank-nr' } },
  {
    name: 'effilora with heads dropped',
    model: 'llama-tied',
    changes: {},
    request: { to: 'peft', drop: 0.4, form: 'rank-nr' },
  },
  { name: 'hydralora on a model with biases', model: 'qwen2', changes: { name: 'hydralora' }, request: { to: 'peft' } },
  { name: 'effilora with DoRA', model: 'llama-untied-no-gqa-bias', changes: { dora: true }, request: { to: 'peft' } },
  {
    name: 'lora with rsLoRA',
    model: 'qwen3',
    changes: { name: 'lora', heads: 1, rsLora: true },
    request: { to: 'peft' },
  },
];
/** What PEFT has as it is, under another type than LORA. */
const ofOtherTypes: Case[] = [
  { name: 'adalora', model: 'llama-tied', changes: { name: 'adalora', heads: 1, rank: 6, alpha: 18 }, request: { to: 'peft' }, sizes: { B: 3, router: 0 } }, // prettier-ignore
  { name: 'vera', model: 'qwen2', changes: { name: 'vera', heads: 1, rank: 24, alpha: 36, vera: { dInitial: 0.1 } }, request: { to: 'peft' }, sizes: { B: 20, router: 0 } }, // prettier-ignore
];
const merged: Case[] = [
  { name: 'llama', model: 'llama-tied', changes: {}, request: { to: 'merged-safetensors', type: 'f32' } },
  { name: 'llama with DoRA', model: 'llama-untied-no-gqa-bias', changes: { dora: true }, request: { to: 'merged-safetensors', type: 'f32' } }, // prettier-ignore
  { name: 'gemma3', model: 'gemma3', changes: {}, request: { to: 'merged-safetensors', type: 'f32' } },
];
const made = { plain: {}, rslora: { use_rslora: true }, dora: { use_dora: true } };
const modelAt = (name: string) => path.join(data, name);

describe('exports and imports against PyTorch', () => {
  beforeAll(async () => {
    await openEngine('tensorflow');
    const dataset = writeTokens(at('tokens.jsonl'));
    const jobs: object[] = [];
    for (const { name, model, changes, request, sizes } of [...exported, ...ofOtherTypes, ...merged]) {
      const recipe = { dataset, training: { evalSplit: 8 } };
      const key = `${request.to} ${name}`;
      const adapter = await writeRandomAdapter(at(`adapter ${key}`), modelAt(model), changes, sizes, recipe);
      await exportAdapter({ ...request, adapter, out: at(key), engine: 'tensorflow' });
      const job = { kind: 'logits', ids: IDS, out: at(`${key}.logits`) };
      jobs.push(
        request.to === 'peft' ? { ...job, model: modelAt(model), adapter: at(key) } : { ...job, model: at(key) },
      );
    }
    for (const [name, config] of Object.entries(made))
      jobs.push({
        ...{
          kind: 'make',
          model: modelAt('llama-tied'),
          adapter: at(`made ${name}`),
          ids: IDS,
          out: at(`made ${name}.logits`),
        },
        config: { ...config, target_modules: ['q_proj', 'v_proj', 'o_proj', 'down_proj'] },
      });
    fs.writeFileSync(
      at('values'),
      encodeSafetensors([{ name: 'values', dtype: 'F32', shape: [40, 64], data: values() }]),
    );
    jobs.push({ kind: 'quantize', values: at('values'), out: at('quantized') });
    fs.writeFileSync(at('jobs.json'), JSON.stringify(jobs));
    await runPython(peers, [at('jobs.json')]);
  });

  it.each(exported)('PEFT runs $name to our logits of the exported form', async ({ name, model }) => {
    const expected = await ours(modelAt(model), at(`peft ${name}`));
    expect(largestDifference(await theirs(`peft ${name}`), expected)).toBeLessThan(1e-3);
    // and the adapter does something that this could have missed
    expect(largestDifference(await ours(modelAt(model)), expected)).toBeGreaterThan(1e-2);
  });

  it('a plain LoRA loses nothing: PEFT has the logits of the adapter itself', async () => {
    const name = 'lora with rsLoRA';
    const exact = await ours(modelAt('qwen3'), at(`adapter peft ${name}`));
    expect(largestDifference(await theirs(`peft ${name}`), exact)).toBeLessThan(1e-3);
  });

  it.each(ofOtherTypes)(
    'PEFT has the logits of a $name, and so has a model it is merged into',
    async ({ name, model }) => {
      const adapter = at(`adapter peft ${name}`);
      const exact = await ours(modelAt(model), adapter);
      expect(largestDifference(await theirs(`peft ${name}`), exact)).toBeLessThan(1e-4);
      expect(largestDifference(await ours(modelAt(model)), exact)).toBeGreaterThan(1e-2);
      const request = { adapter, to: 'merged-safetensors', type: 'f32', engine: 'tensorflow' } as const;
      const { fidelity } = await exportAdapter({ ...request, out: at(`merged ${name}`) });
      expect(fidelity!.form).toBe('exact');
      expect(largestDifference(await ours(at(`merged ${name}`)), exact)).toBeLessThan(1e-4);
    },
  );

  it.each(merged)(
    'transformers loads the merged $name, to our logits of the same plain LoRA',
    async ({ name, model, request, changes }) => {
      const key = `merged-safetensors ${name}`;
      const adapter = at(`adapter ${key}`);
      await exportAdapter({ adapter, to: 'peft', out: at(`${key} as peft`), engine: 'tensorflow' });
      expect(request.type).toBe('f32');
      expect(largestDifference(await theirs(key), await ours(modelAt(model), at(`${key} as peft`)))).toBeLessThan(1e-3);
      expect(changes).toBeDefined();
    },
  );

  /** A copy of a model with something else in its config.json. */
  function changed(model: string, config: object): string {
    const copy = at(`changed ${model}`);
    fs.cpSync(modelAt(model), copy, { recursive: true });
    const before = JSON.parse(fs.readFileSync(path.join(copy, 'config.json'), 'utf8')) as object;
    fs.writeFileSync(path.join(copy, 'config.json'), JSON.stringify({ ...before, ...config }));
    return copy;
  }

  it.each([
    ['llama-tied', {}],
    ['qwen2', {}],
    ['llama3-rope', {}],
    ['gemma3', { query_pre_attn_scalar: 16 }],
  ])('a GGUF merged from a folder (%s) is the same model', async (name, config) => {
    const model = changed(name, config);
    const adapter = await writeRandomAdapter(at(`lora ${name}`), model, { name: 'lora', heads: 1 });
    await exportAdapter({ adapter, to: 'merged-gguf', out: at(`gguf ${name}`), engine: 'tensorflow' });
    const expected = await ours(model, adapter);
    const here = await ours(path.join(at(`gguf ${name}`), `lora ${name}.gguf`));
    expect(largestDifference(here, expected)).toBeLessThan(5e-3);
  });

  it('what GGUF can not say is refused, not written as another model', async () => {
    const adapter = await writeRandomAdapter(at('scaled'), modelAt('gemma3'), { name: 'lora', heads: 1 });
    const request = { adapter, to: 'merged-gguf' as const, out: at('scaled out'), engine: 'tensorflow' as const };
    await expect(exportAdapter(request)).rejects.toThrow(/attentionScale that GGUF can't say/);
    expect(fs.existsSync(at('scaled out'))).toBe(false);
  });

  it.each(Object.keys(made))("a LoRA of PEFT's own (%s) has PEFT's logits here", async (name) => {
    const here = await ours(modelAt('llama-tied'), at(`made ${name}`));
    expect(largestDifference(here, await theirs(`made ${name}`))).toBeLessThan(1e-3);
  });

  it.each(['Q8_0', 'Q4_0'])('%s is packed byte for byte as the package gguf does', async (kind) => {
    const reader = await FileReader.open(at('quantized'));
    const { offset, byteLength } = (await readSafetensorsHeader(reader)).tensors.get(kind)!;
    const expected = await reader.read(offset, byteLength);
    await reader.close();
    expect(Buffer.from(quantize(values(), kind.toLowerCase() as 'q8_0')).equals(Buffer.from(expected))).toBe(true);
  });
});

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Floats of all sizes, blocks of zeros and ties among them. */
function values(): Float32Array {
  return Float32Array.from({ length: 40 * 64 }, (_, i) => {
    if (i < 32) return 0;
    return i < 64 ? (i % 2 ? -1.5 : 1.5) : Math.sin(i * 12.9898) * 10 ** (((i >> 5) % 9) - 5);
  });
}

describe('an export', () => {
  it('that is cancelled, or has no room under its name, leaves nothing', async () => {
    const dataset = writeTokens(at('again.jsonl'));
    const recipe = { dataset, training: { evalSplit: 8 } };
    const adapter = await writeRandomAdapter(at('cancelled adapter'), modelAt('llama-tied'), {}, undefined, recipe);
    const before = fs.readdirSync(folder);
    for (const stage of ['opening', 'calibrating', 'measuring', 'writing']) {
      const cancel = new AbortController();
      const stop = (progress: { stage: string }) => progress.stage === stage && cancel.abort();
      const request = { adapter, to: 'merged-gguf' as const, out: at('cancelled'), engine: 'tensorflow' as const };
      await expect(exportAdapter(request, stop, cancel.signal)).rejects.toThrow(/abort/i);
    }
    await expect(exportAdapter({ adapter, to: 'peft', out: adapter })).rejects.toThrow(/holds files already/);
    expect(fs.readdirSync(folder)).toEqual(before);
  });

  it('says what is missing or does not fit', async () => {
    const adapter = await writeRandomAdapter(at('no data'), modelAt('llama-tied'));
    const request = { adapter, out: at('none'), engine: 'tensorflow' as const };
    await expect(exportAdapter({ ...request, to: 'peft' })).rejects.toThrow(/--calibrate/);
    await expect(exportAdapter({ ...request, to: 'peft', type: 'q8_0' })).rejects.toThrow(/choose f32 with --type/);
    await expect(exportAdapter({ ...request, to: 'peft', model: modelAt('gemma3') })).rejects.toThrow(
      /does not fit this model/,
    );
    await expect(exportAdapter({ ...request, to: 'peft', drop: 1 })).rejects.toThrow(/leaves no head/);
    expect(fs.existsSync(at('none'))).toBe(false);
  });

  it('has a card that tells recipe, data, metrics and fidelity, and a head map with every head', async () => {
    const dataset = writeTokens(at('card.jsonl'));
    const adapter = await writeRandomAdapter(at('card'), modelAt('llama-tied'), {}, undefined, { dataset });
    const result = await exportAdapter({ adapter, to: 'peft', drop: 0.5, out: at('card out'), engine: 'tensorflow' });
    const card = fs.readFileSync(at('card out/README.md'), 'utf8');
    expect(card).toContain(result.fidelity!.summary);
    for (const part of [
      'base_model: llama-tied',
      'evalLoss',
      'dataset: card.jsonl',
      '![Head map](head-map.svg)',
      'held-out loss, this export',
    ])
      // prettier-ignore
      expect(card).toContain(part);
    expect(card).not.toContain(folder);
    const map = fs.readFileSync(at('card out/head-map.svg'), 'utf8');
    const sites = (await openTextModel(modelAt('llama-tied'))).config.layers * 7;
    expect(map.match(/<title>\d+\.\w+\.\d+: importance/g)).toHaveLength(sites * 3);
    expect(map.match(/, dropped</g)).toHaveLength(Math.floor(sites * 3 * 0.5));
  });
});
