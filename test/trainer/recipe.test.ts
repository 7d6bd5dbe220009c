import { describe, expect, it } from 'vitest';
import { UserError } from '../../src-main/engine/types.ts';
import { fitRecipe } from '../../src-main/recipe/kinds.ts';
import { rankOptions } from '../../src-main/recipe/of-methods.ts';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';

const rate = (...lines: string[]) =>
  parseRecipe(['model: a', 'dataset: b.jsonl', ...lines].join('\n'), 'recipe.yaml').training.learningRate;

describe('the learning rate of a recipe', () => {
  it('is what the recipe says, whatever the method', () =>
    expect(rate('method: {name: lora}', 'training: {learningRate: 0.003}')).toBe(0.003));

  it('follows from the method where it says nothing: the better a method shares, the larger', () => {
    const [lora, hydralora, effilora] = ['lora', 'hydralora', 'effilora'].map((name) =>
      rate(`method: {name: ${name}}`),
    );
    expect(lora).toBeLessThan(hydralora!);
    expect(hydralora).toBeLessThan(effilora!);
    expect(rate()).toBe(effilora);
  });
});

it.each([
  ['of nothing', 'model: *a'],
  [
    'of itself a thousandfold',
    `a0: &a0 [1]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(10)}]`).join('\n')}`,
  ],
])('a recipe with an alias %s is refused', (_, text) => {
  expect(() => parseRecipe(text, 'recipe.yaml')).toThrow(UserError);
  expect(() => parseRecipe(text, 'recipe.yaml')).toThrow(/recipe\.yaml.*not valid YAML/);
});

it.each(['f32', 'bf16'])('refuses products in integers of weights that are to be held in %s', (weights) => {
  const text = `model: a\ndataset: b.jsonl\ntraining: {precision: int8, weights: ${weights}}`;
  expect(() => parseRecipe(text, 'recipe.yaml')).toThrow(/precision int8 .*weights .*leave weights out/);
  expect(parseRecipe(text.replace(weights, 'int4'), 'recipe.yaml').training.precision).toBe('int8');
});

describe('a recipe of AdaLoRA or VeRA', () => {
  const parsed = (method: string) => parseRecipe(`model: a\ndataset: b.jsonl\nmethod: ${method}`, 'recipe.yaml').method;

  it('has a rank, a scale of 1 and a start of its own, and can be read back', () => {
    const recipe = parseRecipe('model: a\ndataset: b.jsonl\nmethod: {name: vera}', 'recipe.yaml');
    expect(recipe.method).toMatchObject({ rank: 256, alpha: 256, heads: 1, vera: { dInitial: 0.1 } });
    expect(parseRecipe(formatRecipe(recipe), 'recipe.yaml').method).toEqual(recipe.method);
  });

  it.each([
    ['{name: lora, vera: {dInitial: 0.2}}', /method\.vera is for the method vera, and this one is lora/],
    ['{name: adalora, rank: 4, adalora: {targetRank: 4}}', /targetRank \(4\) has to be below method\.rank \(4\)/],
    ['{name: adalora, reducer: {ratio: 0.5}}', /reducer\.ratio is not there for the method adalora/],
    ['{name: vera, dora: true}', /method\.dora is not there for the method vera/],
    ['{name: vera, vision: {connector: whole}}', /method\.vision is not there for the method vera/],
  ])('is refused by name: %s', (method, reason) => expect(() => parsed(method)).toThrow(reason));

  it('has steps in which AdaLoRA can choose ranks, or is refused with what takes them', () => {
    const method = parsed('{name: adalora}');
    expect(rankOptions(method, 100)).toMatchObject({ targetRank: 8, tInit: 10, tFinal: 30, deltaT: 10, steps: 100 });
    const taken = parsed('{name: adalora, adalora: {tInit: 5, tFinal: 5}}');
    expect(() => rankOptions(taken, 10)).toThrow(/tInit 5 and tFinal 5 take all 10 steps/);
  });

  it('is refused by name for a model that makes pictures', () => {
    const recipe = parseRecipe('model: a\ndataset: b\nmethod: {name: vera}', 'recipe.yaml');
    expect(() => fitRecipe(recipe, { makes: 'pictures', name: 'painter' })).toThrow(/method\.name vera .*painter/);
  });
});

it.each([
  ['{reducer: {maxParameters: 1000, tolerance: 0.1}}', /maxParameters freezes heads whatever .* leave one of them out/],
  ['{reducer: {maxStepSeconds: 1}}', /maxStepSeconds needs method\.reducer\.policy prefix/],
  ['{name: adalora, reducer: {maxParameters: 1000}}', /maxParameters is not there for the method adalora/],
])('a budget of the Reducer that can’t be kept is refused by name: %s', (method, reason) => {
  const text = `model: a\ndataset: b.jsonl\nmethod: ${method}`;
  expect(() => parseRecipe(text, 'recipe.yaml')).toThrow(reason);
});
