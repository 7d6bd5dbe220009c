import path from 'node:path';
import { expect, it } from 'vitest';
import { packagesOf, runPython } from '../../support/python.ts';

const here = import.meta.dirname;

it('the default vision-language model trains on in the same numbers after a kill, and transformers opens what it writes', async () => {
  const training = path.join(here, '../../../resources/vision-default/training');
  // A checkpoint a step and one at a stage's end: the fourth is of the second stage's first step.
  const printed = await runPython(
    path.join(here, 'default_training.py'),
    [training, '4'],
    await packagesOf('requirements-pillow.txt'),
  );
  const told = JSON.parse(printed) as Record<string, unknown>;
  expect(told.resumedAt).toEqual([1, 1]);
  expect(told.different).toEqual([]);
  expect(told.unmoved).toEqual([]);
  expect(told.missing).toEqual([]);
  expect(told.unexpected).toEqual([]);
  expect(told.loss).toBeCloseTo(told.transformers as number, 4);
});
