import type { ModelFacts } from '../../effilora/memory-plan.ts';
import type { ModelFile } from '../../models/types.ts';
import { isOfLanguage } from '../../effilora/methods/structure.ts';
import { sitesOfFile } from '../../models/file-sites.ts';
import { modelFacts } from '../text-plan.ts';

const F32_BYTES = 4;

/** The language model's facts, with what it sees with: that is held in f32, whatever it lies in. */
export function seeingFacts(file: Pick<ModelFile, 'name' | 'config' | 'tensors' | 'sees'>): ModelFacts {
  const facts = modelFacts(file);
  const numbers = (file.sees?.tensors ?? []).reduce(
    (sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1),
    0,
  );
  const { sites, whole } = sitesOfFile(file);
  const seeing = { sites: sites.filter(({ site }) => !isOfLanguage(site)), whole };
  return { ...facts, seeing, parameters: facts.parameters + numbers, fileBytes: facts.fileBytes + F32_BYTES * numbers };
}
