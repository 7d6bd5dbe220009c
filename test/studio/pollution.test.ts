import fc from 'fast-check';
import { createRouterClient } from '@orpc/server';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRouter } from '../../src-main/studio/router.ts';
import { checkOption, withOptions } from '../../src-main/recipe/options.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { contract } from '../../src-preload/contract/index.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const RESERVED = ['__proto__', 'constructor', 'prototype'];
const calls = Object.entries(contract).flatMap(([group, of]) => Object.keys(of).map((name) => [group, name] as const));

/** As JSON.parse makes it: a key of its own, not the prototype. */
const holding = (key: string, value: unknown): object =>
  JSON.parse(`{${JSON.stringify(key)}: ${JSON.stringify(value)}}`);

/** What an attacker sends: a reserved name, alone or inside a dotted key, at some depth of lists and objects. */
const poison = fc
  .record({
    name: fc.constantFrom(...RESERVED),
    dotted: fc.constantFrom('NAME', 'method.NAME', 'NAME.prototype.polluted', 'training.NAME.polluted', 'a.b.NAME'),
    way: fc.array(fc.constantFrom('model', 'mix', 'fixed', 'mapping', 'recipe', 'method', 'list', 'values'), {
      maxLength: 6,
    }),
    value: fc.constantFrom<unknown>({ polluted: true }, true, { prototype: { polluted: true } }, []),
  })
  .map(({ name, dotted, way, value }) =>
    way.reduceRight<unknown>(
      (inner, step) => (step === 'list' ? [inner] : { [step]: inner }),
      holding(dotted.replace('NAME', name), value),
    ),
  );

function expectNothingPolluted(): void {
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect((Object as unknown as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
}

describe('names that all objects share', () => {
  const scratch = scratchFolder();
  let opened: ReturnType<typeof openTestStudio>;
  let call: (group: string, name: string, input: unknown) => Promise<unknown>;
  beforeAll(() => {
    opened = openTestStudio(join(scratch.folder), player(1, 1));
    const client = createRouterClient(createRouter(opened.studio), { context: { local: true } });
    call = (group, name, input) =>
      (client as unknown as Record<string, Record<string, (input: unknown) => Promise<unknown>>>)[group]![name]!(input);
  });
  afterAll(async () => {
    await opened.studio.close();
    scratch.remove();
  });

  it('are refused by name in every call of the contract, at every depth, and reach no object', async () => {
    expect(calls.length).toBeGreaterThan(50);
    for (const [group, name] of calls)
      await fc.assert(
        fc.asyncProperty(poison, async (input) => {
          await expect(call(group, name, input)).rejects.toMatchObject({
            code: 'BAD_REQUEST',
            message: expect.stringMatching(
              /^What was asked of \w+\.\w+ has a key ".*(__proto__|constructor|prototype)/,
            ) as string,
          });
          expectNothingPolluted();
        }),
        { numRuns: 20 },
      );
  });

  it('are no options of a recipe, nor is anything else that its schema has not', () => {
    const recipe = { model: 'm', dataset: 'd', method: {} };
    for (const key of [
      'constructor.prototype.polluted',
      '__proto__.polluted',
      'method.__proto__.polluted',
      'toString',
      'method',
      'method.targets.0',
      'method.rnak',
      '',
    ])
      expect(() => withOptions(recipe, { [key]: true })).toThrow(/^A recipe has no option ".*"; did you mean "/);
    expectNothingPolluted();
    expect(() => checkOption('method.rank', 'four')).toThrow(/^method\.rank can't be "four" \(/);
    expect(() => checkOption('engine', 'quantum')).toThrow(/^engine can't be "quantum"/);
    const whole = withOptions(recipe, { 'method.reducer.ratio': 0.5, 'training.recompute': true, engine: 'cpu' });
    expect(whole).toEqual({
      ...recipe,
      method: { reducer: { ratio: 0.5 } },
      training: { recompute: true },
      engine: 'cpu',
    });
    expect(recipe.method).toEqual({});
  });

  it('are refused in a recipe, also where YAML merges them in', () => {
    const base = 'model: m\ndataset: d.jsonl\n';
    const texts = [
      `${base}__proto__: {polluted: true}\n`,
      `${base}method: {__proto__: {polluted: true}}\n`,
      `${base}method: {constructor: {prototype: {polluted: true}}}\n`,
      'model: m\ndataset: [{path: d.jsonl, mapping: {__proto__: text}}]\n',
      `%YAML 1.1\n---\n${base}method:\n  <<: {__proto__: {polluted: true}}\n`,
      `%YAML 1.1\n---\n${base}x: &x {__proto__: {polluted: true}}\ntraining: {<<: *x}\n`,
    ];
    for (const text of texts) {
      expect(() => parseRecipe(text, 'recipe.yaml')).toThrow(
        /^recipe\.yaml has a key ".*" is no name for anything in it/,
      );
      expectNothingPolluted();
    }
  });
});
