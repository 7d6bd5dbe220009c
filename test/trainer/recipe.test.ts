import { describe, expect, it } from 'vitest';
import { UserError } from '../../src-main/engine/types.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';

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
