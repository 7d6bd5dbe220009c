import type { ModelFacts } from '../../effilora/memory-plan.ts';
import type { ModelFile } from '../../models/types.ts';
import { modelFacts } from '../text-plan.ts';

const F32_BYTES = 4;

/** The language model's facts, with what it sees with: that is held in f32, whatever it lies in. */
export function seeingFacts(file: Pick<ModelFile, 'name' | 'config' | 'tensors' | 'sees'>): ModelFacts {
  const facts = modelFacts(file);
  const numbers = (file.sees?.tensors ?? []).reduce(
    (sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1),
    0,
  );
  return { ...facts, parameters: facts.parameters + numbers, fileBytes: facts.fileBytes + F32_BYTES * numbers };
}
