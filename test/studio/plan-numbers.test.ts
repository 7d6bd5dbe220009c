import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PlanRequest } from '../../src-preload/contract/index.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { DECODER_SITES, type ModelFile } from '../../src-main/models/types.ts';
import { proposePlan } from '../../src-main/studio/work/plan.ts';
import { temporary } from '../trainer/support.ts';

let model: ModelFile;
let dataset: string;
beforeAll(async () => {
  model = await openTextModel(await resolveModel('smollm2-135m'));
  dataset = path.join(temporary('plan-numbers'), 'rows.jsonl');
  const rows = Array.from({ length: 40 }, (_, k) => JSON.stringify({ instruction: `Say ${k}`, output: 'Yes.' }));
  fs.writeFileSync(dataset, rows.join('\n'));
});
afterAll(() => model.close());

const plan = (most: number, fixed: PlanRequest['fixed'] = {}) =>
  proposePlan(model, {
    ...{ model: model.name, mix: [{ path: dataset, weight: 1 }], memoryBytes: 2 ** 32 },
    fixed: { 'method.reducer.maxParameters': most, 'training.precision': 'f32', ...fixed },
  });

const OWN = { 'method.rank': 64, 'method.targets': [...DECODER_SITES] };
/** Of that: A, 64 wide, for inputs of 576 and 1,536; and a router a site of 30 layers: six read 576 numbers, one 1,536. */
const LEAST = 64 * (576 + 1536) + 30 * (6 * 576 + 1536);

it('does not fit where more numbers train than may, whatever freezes, and says of whose choice that is', async () => {
  const tooFew = await plan(1000);
  expect(tooFew.fits).toBe(false);
  expect(tooFew.warnings.filter((each) => each.includes('numbers'))).toEqual([
    expect.stringContaining('hardly a head can learn'),
  ]);
  const own = await plan(LEAST - 1, OWN);
  expect(own.fits).toBe(false);
  expect(own.warnings).toContainEqual(
    expect.stringContaining(
      `${LEAST.toLocaleString('en')} numbers of this structure train even with every head frozen`,
    ),
  );
  expect((await plan(LEAST, OWN)).fits).toBe(true);
  expect((await plan(2_000_000)).fits).toBe(true);
});
