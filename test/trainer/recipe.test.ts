import { describe, expect, it } from 'vitest';
import { parseRecipe } from '../../src-main/trainer/recipe.ts';

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
