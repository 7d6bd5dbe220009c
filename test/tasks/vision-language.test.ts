import fsp from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PreparedExample } from '../../src-main/data/dataset.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { fileLayoutOfB } from '../../src-main/effilora/layout.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { configFromHuggingFace, textPart } from '../../src-main/models/config-huggingface.ts';
import { batchTensors, disposeBatch } from '../../src-main/models/batch.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { generate, type GeneratedToken } from '../../src-main/models/generate.ts';
import { VisionLanguageModel, type PictureBatch } from '../../src-main/models/vision/vision-language.ts';
import { answersToTheLetter as ofTexts } from '../../src-main/tasks/language/evaluation.ts';
import { pictureBatch } from '../../src-main/tasks/vision-language/batch.ts';
import type { SeenExample } from '../../src-main/tasks/vision-language/dataset.ts';
import { answersToTheLetter } from '../../src-main/tasks/vision-language/evaluation.ts';
import { pictureObjective, withFeatures } from '../../src-main/tasks/vision-language/objective.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { largestDifference } from '../models/support.ts';
import { readAll } from '../models/vision/support.ts';
import { batchOf, examplesOf } from './seen-batches.ts';

/** Tiny random models with pictures: transformers' logits, and PEFT's LoRA with its gradients (models/data/vision/make_models.py). */
const data = path.join(import.meta.dirname, '../models/data/vision/models');
const FAMILIES = ['idefics3', 'llava', 'gemma3', 'qwen2.5-vl'];
const SITES = ['q_proj', 'v_proj', 'o_proj', 'down_proj'];

async function open(family: string) {
  const expected = await readAll(path.join(data, family, 'expected.safetensors'));
  const file = await openTextModel(path.join(data, family));
  const model = await VisionLanguageModel.load(file);
  await file.close();
  const options = { name: 'lora', rank: 2, heads: 1, alpha: 4, targets: SITES, share: 'global' } as const;
  const adapter = new Adapter(
    model.sites(),
    { ...options, targets: SITES, router: 'site', dropout: 0, rsLora: false, dora: false },
    1,
  );
  adapter.import([...expected].map(([name, { shape, values }]) => ({ name, shape, data: values })));
  return { expected, model, adapter, batch: batchOf(expected), objective: pictureObjective(model) };
}

const before = { numTensors: 0 };

describe.each(['tensorflow', 'cpu'] as const)('a model with pictures on %s', (engine) => {
  beforeEach(async () => {
    await openEngine(engine);
    before.numTensors = tf.memory().numTensors;
  });
  afterEach(() => expect(tf.memory().numTensors).toBe(before.numTensors));

  it.each(FAMILIES)('has the logits and the adapter gradients of transformers and PEFT: %s', async (family) => {
    const { expected, model, adapter, batch, objective } = await open(family);
    const tensors = objective.tensors(batch);
    const logits = tf.tidy(() => model.language.tokenLogits(withFeatures(model, tensors), { adaptation: adapter }));
    const [values, theirs] = [await logits.data(), expected.get('logits')!.values];
    const width = model.language.config.vocabularySize;
    for (const [t, segment] of batch.segments.entries()) {
      if (segment < 0) continue;
      const at = (all: ArrayLike<number>) => Array.from({ length: width }, (_, v) => all[t * width + v]!);
      expect(largestDifference(at(values), at(theirs)), `token ${t}`).toBeLessThan(1e-4);
    }
    const terms = objective.terms(batch);
    const perTerm = tf.scalar(1 / terms);
    const { loss, gradients } = microBatchGradients(objective, adapter, tensors, perTerm, { recompute: true });
    expect((await loss.data())[0]).toBeCloseTo(expected.get('loss')!.values[0]!, 4);
    for (const [k, { name, role, shape }] of adapter.trainables.entries()) {
      const found = (await gradients[k]!.data()) as Float32Array;
      const ours = role === 'B' ? fileLayoutOfB(found, shape[0]!, shape[1]!, shape[2]!) : found;
      expect(largestDifference(ours, expected.get(`gradient:${name}`)!.values), name).toBeLessThan(1e-3);
    }
    tf.dispose([tensors as unknown as tf.TensorContainer, logits, perTerm, loss, ...gradients]);
    adapter.dispose();
    model.dispose();
  });
});

/** A text whose tokens from `asked` on are its answer, and the same with another last token. */
function tries(inputIds: Int32Array, asked: number) {
  const other = inputIds.map((id, t) => (t === inputIds.length - 1 ? (id + 1) % 5 : id));
  return [inputIds, other].map((ids) => ({ inputIds: ids, labels: ids.map((id, t) => (t < asked ? -100 : id)) }));
}

it('a text is right to the letter where it is what is written token by token', async () => {
  await openEngine('tensorflow');
  const before = tf.memory().numTensors;
  const { model, adapter } = await open('llava');
  const asked = Int32Array.from([3, 7, 5, 9]);
  const ids: number[] = [];
  for await (const { id } of generate(model.language, asked, { maxTokens: 4, stop: [], adaptation: adapter }))
    ids.push(id);
  const [right, wrong] = tries(Int32Array.from([...asked, ...ids]), asked.length) as PreparedExample[];
  expect(await ofTexts(model.language, [right!, wrong!, right!], adapter)).toEqual([true, false, true]);
  adapter.dispose();
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

describe.each(['tensorflow', 'cpu'] as const)('an answer to pictures on %s', (engine) => {
  it.each(FAMILIES)('begins and goes on as the whole texts say: %s', async (family) => {
    await openEngine(engine);
    const before = tf.memory().numTensors;
    const { expected, model, adapter, batch, objective } = await open(family);
    const [{ inputIds, patches, grids }] = examplesOf(batch) as [ReturnType<typeof examplesOf>[number]];
    const width = model.language.config.vocabularySize;
    const seen = await model.seenIn(inputIds, { patches, grids });
    const tokens: GeneratedToken[] = [];
    const options = { maxTokens: 3, adaptation: adapter, alternatives: width, stop: [], seen };
    for await (const token of generate(model.language, inputIds, options)) tokens.push(token);
    const answered = Int32Array.from([...inputIds, ...tokens.map(({ id }) => id)]);
    const tensors = objective.tensors(pictureBatch([{ inputIds: answered, labels: answered, patches, grids }]));
    const logits = tf.tidy(() =>
      tf.logSoftmax(model.language.tokenLogits(withFeatures(model, tensors), { adaptation: adapter })),
    );
    const theirs = tf.tidy(() => tf.logSoftmax(tf.tensor2d(expected.get('logits')!.values, [batch.inputIds.length, width]))); // prettier-ignore
    const [own, first] = [await logits.data(), await theirs.data()];
    for (const [i, { top }] of tokens.entries()) {
      const at = inputIds.length - 1 + i;
      const found = Float32Array.from({ length: width }, (_, id) => top.find((one) => one.id === id)!.logProbability);
      expect(largestDifference(found, own.slice(at * width, (at + 1) * width)), `token ${i}`).toBeLessThan(1e-3);
      if (i === 0) expect(largestDifference(found, first.slice(at * width, (at + 1) * width))).toBeLessThan(1e-3);
    }
    // What was written so is right to the letter, and with another last token wrong.
    const [right, wrong] = tries(answered, inputIds.length).map((one) => ({ ...one, fed: async () => ({ patches, grids }) }) as SeenExample); // prettier-ignore
    expect(await answersToTheLetter(model, [wrong!, right!, wrong!], adapter)).toEqual([false, true, false]);
    tf.dispose([tensors as unknown as tf.TensorContainer, logits, theirs]);
    adapter.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

/** A step that has to be compiled. */
function stepOf(objective: ReturnType<typeof pictureObjective>, adapter: Adapter, optimizer: AdamW): TrainingStep {
  const reducer = new Reducer(adapter.heads, 1, {
    ...{ ratio: 0, warmup: 1, interval: 1000, beta: 0.85, policy: 'topk', temperature: 1 },
    ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
  });
  const warn = (line: string) => {
    throw new Error(line);
  };
  return new TrainingStep(objective, adapter, optimizer, reducer, {
    routerShare: true,
    recompute: false,
    seed: 1,
    warn,
  });
}

it.each(FAMILIES)('a step with pictures is compiled, and has their loss and gradient norm: %s', async (family) => {
  await openEngine('tensorflow');
  const { expected, model, adapter, batch, objective } = await open(family);
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm: 0 });
  const step = stepOf(objective, adapter, optimizer);
  const report = await step.run(1, [pictureBatch(examplesOf(batch))], 1e-3);
  expect(report.loss).toBeCloseTo(expected.get('loss')!.values[0]!, 4);
  const squares = [...expected].flatMap(([name, { values }]) => (name.startsWith('gradient:') ? [...values] : []));
  const norm = Math.sqrt(squares.reduce((sum, value) => sum + value * value, 0));
  expect(report.gradNorm / norm).toBeCloseTo(1, 3);
  // In micro-batches, which hold other numbers of pictures, it is that loss less what the first step gained.
  const apart = examplesOf(batch).map((example) => pictureBatch([example]));
  const again = await step.run(2, apart, 1e-3);
  expect(again.loss).toBeLessThan(report.loss);
  expect(report.loss - again.loss).toBeLessThan(0.1 * report.loss);
  expect(again.terms).toBe(report.terms);
  step.dispose();
  optimizer.dispose();
  adapter.dispose();
  model.dispose();
});

it.each(FAMILIES)('takes texts without a picture as its language model does: %s', async (family) => {
  await openEngine('tensorflow');
  const { model, adapter, batch, objective } = await open(family);
  const inputIds = batch.inputIds.map((id) => (id === model.imageToken ? 5 : id));
  const alone: PictureBatch = { ...batch, inputIds, patches: new Float32Array(0), grids: [] };
  const tensors = batchTensors(model.language.config, alone);
  const own = tf.tidy(() => model.language.lossSum(tensors, { adaptation: adapter }));
  const terms = objective.terms(alone);
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm: 0 });
  const step = stepOf(objective, adapter, optimizer);
  expect((await step.run(1, [alone], 1e-3)).loss).toBeCloseTo((await own.data())[0]! / terms, 4);
  own.dispose();
  disposeBatch(tensors);
  for (const one of [step, optimizer, adapter, model]) one.dispose();
});

it('refuses texts whose image tokens are not as many as the pictures have features', async () => {
  await openEngine('cpu');
  const { model, adapter, batch, objective } = await open('idefics3');
  const cut = { ...batch, inputIds: batch.inputIds.map((id, t) => (t === 1 ? 5 : id)) };
  expect(() => objective.tensors(cut)).toThrow('11 image tokens, and their pictures 12 features');
  expect(() => objective.feeds(cut, true)).toThrow('11 image tokens');
  adapter.dispose();
  model.dispose();
});

describe('the text model of qwen2.5-vl', () => {
  const read = (json: unknown) => configFromHuggingFace(textPart(json), 'config.json').config;
  const json = async () =>
    JSON.parse(await fsp.readFile(path.join(data, 'qwen2.5-vl', 'config.json'), 'utf8')) as Record<string, object>;

  it('is read from the form before transformers 5, too, which has its fields outside', async () => {
    const { text_config, vision_config, ...outside } = await json();
    const { rope_parameters, ...fields } = text_config as Record<string, unknown>;
    const { rope_theta, mrope_section } = rope_parameters as Record<string, unknown>;
    const flat = { ...fields, ...outside, vision_config, rope_theta, rope_scaling: { type: 'mrope', mrope_section } };
    expect(read(flat)).toEqual(read(await json()));
    expect(read(flat).rope.sections).toEqual([1, 1, 1]);
  });

  it('is refused where its sections are not of all frequencies', async () => {
    const { text_config, ...outside } = await json();
    const rope_parameters = { rope_type: 'default', rope_theta: 1e4, mrope_section: [1, 1, 2] };
    expect(() => read({ ...outside, text_config: { ...text_config, rope_parameters } })).toThrow(
      '"mrope_section" is of 4 frequencies, and each head has 3',
    );
  });
});
