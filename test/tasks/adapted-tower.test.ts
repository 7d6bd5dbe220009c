import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { fileLayoutOfB } from '../../src-main/effilora/layout.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions, NamedTensor, WholeTensor } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { VisionLanguageModel } from '../../src-main/models/vision/vision-language.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { methodOf, seeingOptions } from '../../src-main/recipe/vision.ts';
import { formatAdapterDescription, parseAdapterDescription } from '../../src-main/effilora/adapter-schema.ts';
import { adapterOnModel } from '../../src-main/trainer/adapter-folder.ts';
import { pictureBatch } from '../../src-main/tasks/vision-language/batch.ts';
import { pictureObjective, withFeatures } from '../../src-main/tasks/vision-language/objective.ts';
import { headEffects } from '../../src-main/trainer/head-effects.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { largestDifference } from '../models/support.ts';
import { readAll } from '../models/vision/support.ts';
import { batchOf, examplesOf } from './seen-batches.ts';

/**
 * Tiny random models with the reference's EffiLoRA on language model, tower and connector, or on the first two with the connector
 * trained whole: transformers' loss, logits and gradients (models/data/vision/make_adapted.py).
 */
const data = path.join(import.meta.dirname, '../models/data/vision/models');
const FAMILIES = ['idefics3', 'llava', 'gemma3', 'qwen2.5-vl'];
const CASES = ['adapted', 'whole'] as const;
const LANGUAGE = ['q_proj', 'v_proj', 'o_proj', 'down_proj'];

type Values = Awaited<ReturnType<typeof readAll>>;

/** A tensor of a connector by transformers' name, in ours. */
const ours = (name: string) =>
  name.replace(/^model\.(multi_modal_projector|connector)\./, 'connector.').replace(/^model\.visual\./, 'tower.');

/** A connector's tensors as the model holds them: Gemma's product the other way round, its norm with 1 added (not its gradient). */
function held(
  name: string,
  { shape, values }: { shape: number[]; values: Float32Array },
  isGradient: boolean,
): NamedTensor {
  if (name.endsWith('mm_soft_emb_norm.weight'))
    return { name, shape, data: isGradient ? values : values.map((value) => value + 1) };
  if (!name.endsWith('mm_input_projection_weight')) return { name, shape, data: values };
  const [rows, columns] = shape as [number, number];
  const data = Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!,
  );
  return { name, shape: [columns, rows], data };
}

/** What a case says of tensors, by our names. */
function tensorsOf(theirs: Values, isGradient: boolean): Map<string, NamedTensor> {
  const prefix = isGradient ? 'gradient:' : '';
  const own = [...theirs].filter(
    ([name]) => name.startsWith('gradient:') === isGradient && !['logits', 'loss'].includes(name),
  );
  return new Map(
    own.map(([name, value]) => {
      const key = ours(name.slice(prefix.length).replace(/^whole:/, ''));
      return [key, held(key, value, isGradient)];
    }),
  );
}

async function open(family: string, kind: (typeof CASES)[number]) {
  const [expected, theirs] = [
    await readAll(path.join(data, family, 'expected.safetensors')),
    await readAll(path.join(data, family, `${kind}.safetensors`)),
  ];
  const file = await openTextModel(path.join(data, family));
  const model = await VisionLanguageModel.load(file);
  await file.close();
  const vision = {
    tower: 'adapted',
    connector: kind === 'whole' ? 'whole' : family === 'gemma3' ? 'frozen' : 'adapted',
  } as const;
  const seeing = seeingOptions(vision, { sites: model.sites(), whole: model.wholeTensors() as WholeTensor[] });
  const options: AdapterOptions = {
    ...{ name: 'effilora', rank: 3, heads: 2, alpha: 6, share: 'global', router: 'site', dropout: 0 },
    ...{ rsLora: false, dora: false, whole: seeing.whole, targets: [...LANGUAGE, ...seeing.targets] },
  };
  const adapter = new Adapter(model.sites(), options, 1);
  const given = tensorsOf(theirs, false);
  expect(adapter.trainables.map(({ name, shape }) => `${name} ${shape.join()}`).sort()).toEqual(
    [...given.values()].map(({ name, shape }) => `${name} ${shape.join()}`).sort(),
  );
  adapter.import([...given.values()]);
  return { theirs, model, adapter, batch: batchOf(expected), objective: pictureObjective(model) };
}

describe.each([
  ['tensorflow', FAMILIES],
  ['cpu', ['llava', 'qwen2.5-vl']],
] as const)('what sees pictures learns on %s', (engine, families) => {
  it.each(families.flatMap((family) => CASES.map((kind) => [family, kind] as const)))(
    '%s has the loss, the logits and every gradient of transformers with the reference: %s',
    async (family, kind) => {
      await openEngine(engine);
      const before = tf.memory().numTensors;
      const { theirs, model, adapter, batch, objective } = await open(family, kind);
      const tensors = objective.tensors(batch);
      const logits = tf.tidy(() =>
        model.language.tokenLogits(withFeatures(model, tensors, { adaptation: adapter }), { adaptation: adapter }),
      );
      const width = model.language.config.vocabularySize;
      const here = (values: ArrayLike<number>) =>
        Float32Array.from(values).filter((_, i) => batch.segments[Math.floor(i / width)]! >= 0);
      expect(largestDifference(here(await logits.data()), here(theirs.get('logits')!.values))).toBeLessThan(1e-4);
      const perTerm = tf.scalar(1 / objective.terms(batch));
      const gradients = tensorsOf(theirs, true);
      // Blocks kept, and computed again.
      for (const recompute of [false, true]) {
        const found = microBatchGradients(objective, adapter, tensors, perTerm, { recompute });
        expect((await found.loss.data())[0]).toBeCloseTo(theirs.get('loss')!.values[0]!, 4);
        for (const [k, { name, role, shape }] of adapter.trainables.entries()) {
          const values = (await found.gradients[k]!.data()) as Float32Array;
          const own = role === 'B' ? fileLayoutOfB(values, shape[0]!, shape[1]!, shape[2]!) : values;
          expect(largestDifference(own, gradients.get(name)!.data), name).toBeLessThan(1e-3);
        }
        tf.dispose(found);
      }
      // What each head does, to first order, by PyTorch's B and gradients: -sum of B * dL/dB.
      const { rises, shares } = await headEffects(objective, adapter, [() => batch]);
      const b = tensorsOf(theirs, false);
      for (const { name, firstHead, blocks } of adapter.trainables.filter((one) => one.firstHead !== undefined)) {
        const product = b.get(name)!.data.map((value, i) => value * gradients.get(name)!.data[i]!);
        const size = product.length / blocks;
        const sums = Array.from({ length: blocks }, (_, j) => -product.slice(j * size, (j + 1) * size).reduce((sum, value) => sum + value, 0)); // prettier-ignore
        expect(largestDifference([...rises.slice(firstHead, firstHead! + blocks)], sums), name).toBeLessThan(2e-3);
        expect(shares[firstHead!]! + shares[firstHead! + 1]!, name).toBeCloseTo(1, 4);
      }
      tf.dispose([tensors as unknown as tf.TensorContainer, logits, perTerm]);
      adapter.dispose();
      model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});

it.each(['idefics3', 'qwen2.5-vl'])(
  'a step that teaches what sees pictures is compiled, in numbers that eager ones have: %s',
  async (family) => {
    await openEngine('tensorflow');
    const runs: { loss: number; gradNorm: number; shares: number[]; importance: number[] }[][] = [];
    for (const compile of [true, false]) {
      const { theirs, model, adapter, batch, objective } = await open(family, 'whole');
      const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm: 0, rateOfWhole: 0.1 });
      const reducer = new Reducer(adapter.heads, 2, {
        ...{ ratio: 0.25, warmup: 1, interval: 1, beta: 0.85, policy: 'topk', temperature: 1 },
        ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
      });
      const warn = (line: string) => {
        throw new Error(line);
      };
      const options = { routerShare: true, recompute: false, seed: 1, compile, warn };
      const step = new TrainingStep(objective, adapter, optimizer, reducer, options);
      // All at once, and in micro-batches of other numbers of pictures.
      const whole = [pictureBatch(examplesOf(batch))];
      const apart = examplesOf(batch).map((example) => pictureBatch([example]));
      const reports = [await step.run(1, whole, 1e-3), await step.run(2, apart, 1e-3), await step.run(3, apart, 1e-3)];
      expect(reports[0]!.loss).toBeCloseTo(theirs.get('loss')!.values[0]!, 4);
      expect(reports[2]!.loss).toBeLessThan(reports[0]!.loss);
      // Of each site the heads' shares are 1 together: every row that its linear sees is counted once.
      for (const { routerShare } of reports)
        for (let head = 0; head < adapter.heads.length; head += 2)
          expect(routerShare![head]! + routerShare![head + 1]!, adapter.heads[head]).toBeCloseTo(1, 4);
      runs.push(
        reports.map(({ loss, gradNorm, routerShare }) => ({
          ...{ loss, gradNorm, shares: [...routerShare!], importance: [...reducer.importance] },
        })),
      );
      for (const one of [step, optimizer, adapter, model]) one.dispose();
    }
    const [compiled, eager] = runs as [(typeof runs)[0], (typeof runs)[0]];
    for (const [i, report] of compiled.entries()) {
      expect(report.loss).toBeCloseTo(eager[i]!.loss, 4);
      expect(report.gradNorm / eager[i]!.gradNorm).toBeCloseTo(1, 3);
      expect(largestDifference(report.shares, eager[i]!.shares)).toBeLessThan(1e-4);
      expect(largestDifference(report.importance, eager[i]!.importance)).toBeLessThan(1e-3);
    }
  },
);

describe('a recipe whose vision learns', () => {
  const parts = { sites: [], whole: [] };
  const adapted = { tower: 'frozen', connector: 'adapted' } as const;

  it('is refused for a model of text alone, and for a connector that no adapter can stand beside', async () => {
    await openEngine('cpu');
    expect(() => seeingOptions(adapted, parts)).toThrow('this one reads text alone');
    const { model, adapter } = await open('gemma3', 'adapted');
    expect(() => seeingOptions(adapted, { sites: model.sites(), whole: model.wholeTensors() })).toThrow(
      'a bare product',
    );
    adapter.dispose();
    model.dispose();
  });

  it('is refused with the policy prefix, whose backward pass ends above the layers that freeze', () => {
    const recipe = { model: 'm', dataset: 'd', method: { vision: adapted, reducer: { policy: 'prefix' } } };
    expect(() => parseRecipe(JSON.stringify(recipe), 'r.yaml')).toThrow('what sees pictures lies below them');
    const frozen = { ...recipe, method: { ...recipe.method, vision: { tower: 'frozen' } } };
    expect(parseRecipe(JSON.stringify(frozen), 'r.yaml').method.vision).toEqual({
      tower: 'frozen',
      connector: 'frozen',
    });
  });

  it('gives an adapter that opens only where its whole tensors fit, and is named in a version of its own', async () => {
    await openEngine('cpu');
    const { model, adapter } = await open('idefics3', 'whole');
    const facts = { importance: 0, frozenSince: null, dropped: false };
    const description = {
      ...{ method: adapter.options, datasets: [], recipe: {}, metrics: {}, renormalize: false },
      baseModel: { name: 'tiny', architecture: 'llama', sha256: '0'.repeat(64) },
      heads: Object.fromEntries(adapter.heads.map((name) => [name, facts])),
    };
    const text = formatAdapterDescription(description);
    expect(JSON.parse(text)).toMatchObject({ formatVersion: 3 });
    const read = parseAdapterDescription(text, 'adapter.json');
    const stored = { description: read, tensors: await adapter.export() };
    const again = adapterOnModel(stored, model, 'it');
    expect(await again.export()).toEqual(stored.tensors);
    const other = { ...read, method: { ...read.method, whole: [{ ...read.method.whole![0]!, shape: [12, 60] }] } };
    expect(() => adapterOnModel({ ...stored, description: other }, model, 'it')).toThrow(
      'it holds connector.modality_projection.proj.weight [12, 60], and the model has [12, 64]',
    );
    expect(methodOf(adapter.options)).toMatchObject({
      targets: LANGUAGE,
      vision: { tower: 'adapted', connector: 'whole' },
    });
    for (const one of [again, adapter, model]) one.dispose();
  });
});
