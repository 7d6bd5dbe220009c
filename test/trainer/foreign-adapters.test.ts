import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { exportAdapter } from '../../src-main/exports/export-adapter.ts';
import { readAnyAdapter } from '../../src-main/exports/read-any.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { encodeSafetensors } from '../../src-main/models/safetensors.ts';
import type { ModelConfig } from '../../src-main/models/types.ts';
import { adapterOnModel, readAdapter, writeStoredAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { inspectAdapter } from '../../src-main/trainer/inspect.ts';
import type { StoredAdapter } from '../../src-main/trainer/stored-adapter.ts';
import { readNamedTensors } from '../../src-main/trainer/tensor-file.ts';
import { largestDifference, wholeRow } from '../models/support.ts';
import { TINY_MODEL, temporary } from './support.ts';

/** What PEFT and mlx-lm make of these (data/make_adapters.py, data/make_mlx_adapters.py). */
const adapters = fileURLToPath(new URL('data/adapters', import.meta.url));
const at = (kind: string) => path.join(adapters, kind);
const folder = temporary('foreign');
const IDS = Int32Array.from({ length: 24 }, (_, t) => (t * 37 + 11) % 96);
const READ = fs.readdirSync(adapters).filter((kind) => fs.existsSync(path.join(at(kind), 'expected.safetensors')));

let model: CausalLM;
let config: ModelConfig;
let bare: Float32Array;

beforeAll(async () => {
  await openEngine('cpu');
  const file = await openTextModel(TINY_MODEL);
  config = file.config;
  model = await loadCausalLM(file);
  await file.close();
  bare = await logitsIn(path.join(adapters, 'base.safetensors'));
});
afterAll(() => {
  model.dispose();
  fs.rmSync(folder, { recursive: true, force: true });
});

const logitsIn = async (file: string) => (await readNamedTensors(file)).tensors[0]!.data;

/** Our logits of the last 6 tokens. */
async function logitsOf(stored: StoredAdapter): Promise<Float32Array> {
  const adapter = adapterOnModel(stored, model, 'the adapter');
  const logits = model.logits(wholeRow(IDS), { adaptation: adapter });
  const values = Float32Array.from((await logits.data()).subarray(-6 * 96));
  logits.dispose();
  adapter.dispose();
  return values;
}

/** A copy of an adapter's folder with something else in its configuration, its tensors under other names, or both. */
async function changed(kind: string, changes: object, rename?: (name: string) => string): Promise<string> {
  const copy = fs.mkdtempSync(path.join(folder, `${kind}-`));
  fs.cpSync(at(kind), copy, { recursive: true });
  const file = path.join(copy, 'adapter_config.json');
  fs.writeFileSync(file, JSON.stringify({ ...(JSON.parse(fs.readFileSync(file, 'utf8')) as object), ...changes }));
  const weights = path.join(copy, 'adapter_model.safetensors');
  if (rename) {
    const { tensors } = await readNamedTensors(weights);
    const renamed = tensors.map(({ name, shape, data }) => ({
      name: rename(name),
      dtype: 'F32' as const,
      shape,
      data,
    }));
    fs.writeFileSync(weights, encodeSafetensors(renamed.filter(({ name }) => name)));
  }
  return copy;
}

describe('an adapter of PEFT or mlx-lm', () => {
  it('is there in every kind', () => expect(READ.length).toBe(19));

  it.each(READ)('%s has the logits that its own program gives', async (kind) => {
    const expected = await logitsIn(path.join(at(kind), 'expected.safetensors'));
    expect(largestDifference(await logitsOf(await readAdapter(at(kind))), expected)).toBeLessThan(1e-4);
    expect(largestDifference(bare, expected)).toBeGreaterThan(1e-2);
  });

  const refused: [string, RegExp][] = [
    ['pissa', /init_lora_weights "pissa".*path_initial_model_for_weight_conversion/],
    ['pissa-niter', /init_lora_weights "pissa_niter_4"/],
    ['olora', /init_lora_weights "olora"/],
    ['modules-to-save', /sets modules_to_save/],
    ['head', /lm_head.*embedding and head can't be adapted/],
    ['embedding', /embed_tokens.*embedding and head can't be adapted/],
    ['lora-bias', /sets lora_bias/],
    ['token-rows', /sets trainable_token_indices/],
    ['alora', /sets alora_invocation_tokens.*aLoRA/],
    ['replication', /sets layer_replication/],
    ['bias', /holds the bias "base_model.*\.bias"/],
    ['ia3', /of PEFT's type IA3; only LORA is read/],
  ];

  it.each(refused)('%s is refused by name', async (kind, message) => {
    const error = await readAdapter(at(kind)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
  });

  it.each(['corda', 'loftq', 'lora_ga', 'something new'])('begun with %s is refused, eva is read', async (start) => {
    await expect(readAdapter(await changed('gaussian', { init_lora_weights: start }))).rejects.toThrow(start);
    await expect(readAdapter(await changed('gaussian', { init_lora_weights: 'eva' }))).resolves.toBeDefined();
  });

  it.each([
    ['without base_model.model', (name: string) => name.replace('base_model.model.', '')],
    ["with the adapter's name", (name: string) => name.replace(/(lora_[AB])\.weight/, '$1.default.weight')],
    ['of a bare decoder', (name: string) => name.replace('base_model.model.model.', 'base_model.model.')],
    ['of a model with vision', (name: string) => name.replace('.model.layers', '.model.language_model.layers')],
    ['of Idefics3', (name: string) => name.replace('.model.layers', '.model.text_model.layers')],
    ['of an older one', (name: string) => name.replace('.model.layers', '.language_model.model.layers')],
  ])('is read under names %s', async (_, rename) => {
    const expected = await logitsIn(path.join(at('gaussian'), 'expected.safetensors'));
    const logits = await logitsOf(await readAdapter(await changed('gaussian', {}, rename)));
    expect(largestDifference(logits, expected)).toBeLessThan(1e-4);
  });

  it.each<[string, RegExp, object, (name: string) => string]>([
    [
      'vision',
      /vision or audio part/,
      {},
      (name) => name.replace('model.layers.0', 'model.vision_tower.encoder.layers.0'),
    ],
    ['experts', /mixture of experts/, {}, (name) => name.replace('mlp.down', 'mlp.experts.3.down')],
    ['a linear in the wrong block', /no linear of a decoder block/, {}, (name) => name.replace('self_attn.v', 'mlp.v')],
    [
      'two adapters',
      /two adapters of 0\.q_proj/,
      {},
      (name) => name.replace('0.self_attn.v_proj.lora_A', '0.self_attn.q_proj.lora_A.other'),
    ],
    [
      'one half missing',
      /lacks a tensor of .*1\.mlp\.down_proj/,
      {},
      (name) => (/1\.mlp.*lora_A/.test(name) ? '' : name),
    ],
    ['one site missing', /lacks a tensor of .*1\.mlp\.down_proj/, {}, (name) => (/1\.mlp/.test(name) ? '' : name)],
    ['more than the configuration says', /doesn't name/, { target_modules: ['q_proj'] }, (name) => name],
    ['another rank', /has the rank 4, and .* gives it 8/, { r: 8 }, (name) => name],
    ['a field not known', /sets future_thing/, { future_thing: 3 }, (name) => name],
    ['a pattern without end', /take too long/, { target_modules: '(([a-z_.0-9]+)+)+!' }, (name) => name],
    ['a pattern that is none', /can't be read/, { target_modules: '((' }, (name) => name],
    ['another type', /PEFT's type LOHA/, { peft_type: 'LOHA' }, (name) => name],
  ])('with %s is refused', async (_, message, changes, rename) => {
    const error = await changed('gaussian', changes, rename)
      .then(readAdapter)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(message);
  });

  it('as a pickle is refused with how to convert it', async () => {
    const copy = await changed('gaussian', {});
    fs.renameSync(path.join(copy, 'adapter_model.safetensors'), path.join(copy, 'adapter_model.bin'));
    await expect(readAdapter(copy)).rejects.toThrow(/adapter_model\.bin, a pickle.*safe_serialization=True/);
  });

  it('of all layers does not open on a model with more of them, one of some layers does', async () => {
    const deeper = { ...model, sites: () => deepened(model), config } as unknown as CausalLM;
    expect(() => adapterOnModel(stored, deeper, 'the adapter')).toThrow(/adapts 2 layers, the model has 3/);
    adapterOnModel(await readAdapter(at('layers-to-transform')), deeper, 'the adapter').dispose();
    const shallow = { sites: () => model.sites().filter(({ block }) => block === 0), config } as unknown as CausalLM;
    const partial = await readAdapter(at('layers-to-transform'));
    expect(() => adapterOnModel(partial, shallow, 'the adapter')).toThrow(/It adapts 1\.q_proj, the model has 1 layer/);
  });

  let stored: StoredAdapter;
  beforeAll(async () => void (stored = await readAdapter(at('gaussian'))));
});

const deepened = (model: CausalLM) => [
  ...model.sites(),
  ...model
    .sites()
    .filter(({ block }) => block === 1)
    .map((site) => ({ ...site, block: 2 })),
];

describe('an adapter of some layers', () => {
  it.each(['layers-to-transform', 'exclude', 'full-names'])(
    '%s keeps its logits in our folder, as a PEFT folder and as a GGUF LoRA, and can be inspected',
    async (kind) => {
      const expected = await logitsIn(path.join(at(kind), 'expected.safetensors'));
      const own = path.join(folder, `own-${kind}`);
      await writeStoredAdapter(own, await readAdapter(at(kind)));
      expect(largestDifference(await logitsOf(await readAdapter(own)), expected)).toBeLessThan(1e-4);
      const { heads } = await inspectAdapter(own);
      expect(heads.map(({ layer, site }) => `${layer}.${site}`)).toEqual(
        (await readAdapter(own)).description.method.sites,
      );
      const request = { adapter: own, model: TINY_MODEL, engine: 'cpu' as const };
      await exportAdapter({ ...request, to: 'peft', out: path.join(folder, `peft-${kind}`) });
      const back = await readAdapter(path.join(folder, `peft-${kind}`));
      expect(largestDifference(await logitsOf(back), expected)).toBeLessThan(1e-4);
      await exportAdapter({ ...request, to: 'gguf', type: 'f32', out: path.join(folder, `gguf-${kind}`) });
      const gguf = await readAnyAdapter(path.join(folder, `gguf-${kind}`, `own-${kind}.gguf`), config);
      expect(largestDifference(await logitsOf(gguf), expected)).toBeLessThan(1e-4);
    },
  );
});
