import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTextModel } from '../../src-main/models/open.ts';
import type { ModelFile } from '../../src-main/models/types.ts';
import { proposePlan } from '../../src-main/studio/work/plan.ts';
import type { PlanRequest } from '../../src-preload/contract/index.ts';
import { TINY_MODEL, temporary, writeTokens } from '../trainer/support.ts';

const work = temporary('plan-time');
let model: ModelFile;
beforeAll(async () => void (model = await openTextModel(TINY_MODEL)));
afterAll(async () => {
  await model.close();
  fs.rmSync(work, { recursive: true });
});

const mix = [{ path: writeTokens(path.join(work, 'tokens.jsonl')), weight: 1 }];

/** The steps of a plan, what it says of them and of frozen heads, and how these freeze. */
async function told(request: Pick<PlanRequest, 'seconds' | 'fixed'>) {
  const plan = await proposePlan(model, { model: TINY_MODEL, mix, ...request });
  const { recipe, choices, seconds, secondsBeside } = plan;
  const reasonOf = (choice: string) => choices.find(({ name }) => name === choice)!.reason;
  const { policy } = recipe.method.reducer as { policy?: string };
  return { policy, steps: reasonOf('Steps'), heads: reasonOf('Frozen heads'), seconds, secondsBeside };
}

it('whole layers freeze where the time is short, and not for steps that the user sets', async () => {
  const whole = await told({ fixed: {} });
  // of the steps' time half, however fast runs before have found this machine
  const seconds = (whole.secondsBeside + whole.seconds!) / 2;
  const short = await told({ seconds, fixed: {} });
  expect(short.policy).toBe('prefix');
  expect(short.steps).toContain('As the time is short, whole layers freeze');
  expect(short.heads).toContain('Layers freeze whole');

  const own = await told({ seconds, fixed: { 'training.steps': 4 } });
  expect(own.policy).toBeUndefined();
  expect(own.steps).toMatch(/^You set this yourself/);
  expect(own.steps + own.heads).not.toMatch(/time is short|freeze whole/i);
});

it.each<PlanRequest['fixed']>([
  {},
  { 'training.evalSplit': 0.5 },
  { 'training.evalSplit': 0 },
  { 'training.steps': 7 },
])(
  'counts how often what it learns from is seen without what is held out, and tells one number everywhere: %j',
  async (fixed) => {
    const plan = await proposePlan(model, { model: TINY_MODEL, mix, fixed });
    const learned = plan.heldOut.of - plan.heldOut.examples;
    expect(Math.abs(plan.proposed.steps * 8 - 3 * learned)).toBeLessThanOrEqual(4);
    const passes = (Number(plan.recipe.training.steps) * 8) / learned;
    expect(plan.passesAStep * Number(plan.recipe.training.steps)).toBeCloseTo(passes, 10);
    const few = plan.warnings.find((warning) => warning.includes('are few'));
    expect(few).toContain(`seen ${Number(passes.toFixed(1))} times`);
    const reason = plan.choices.find(({ name }) => name === 'Steps')!.reason;
    if (!('training.steps' in fixed)) expect(reason).toContain(`the examples are seen ${passes.toFixed(1)} times`);
  },
);

it('counts more examples a step where the user adds up more', async () => {
  const told = async (fixed: PlanRequest['fixed']) => {
    const { passesAStep, choices } = await proposePlan(model, { model: TINY_MODEL, mix, fixed });
    const { reason } = choices.find(({ name }) => name === 'Steps')!;
    return { passesAStep, seen: Number(/seen ([\d.]+) times/.exec(reason)?.[1]) };
  };
  const [eight, more] = [await told({}), await told({ 'training.batch': 2, 'training.accumulate': 16 })];
  expect(more.passesAStep).toBeCloseTo(4 * eight.passesAStep, 10);
  // each of them told to a tenth
  expect(Math.abs(more.seen - 4 * eight.seen)).toBeLessThanOrEqual(0.05 + 4 * 0.05);
});
