import { leastTrained, type ModelFacts } from '../../effilora/memory-plan.ts';
import { tooManyNumbers } from '../../effilora/proposal-words.ts';
import type { AdapterOptions, ReducerOptions } from '../../effilora/types.ts';

// What a plan can't keep to, in sentences for people.

export function tooLarge(needBytes: number, limitBytes: number): string[] {
  if (needBytes <= limitBytes) return [];
  return [`${needs(needBytes, limitBytes)} Raise the memory budget, or choose a smaller base model.`];
}

/** That a plan is too large. */
export function needs(needBytes: number, limitBytes: number): string {
  const [need, have] = [needBytes, limitBytes].map((bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`);
  return `This needs ${need}, and the budget is ${have}.`;
}

type Numbers = Pick<ReducerOptions, 'minActivePerSite'> & { maxParameters?: number };

/** Whether no more numbers train than may once all heads are frozen that may be: the trainer would refuse others. */
export const keepsNumbers = (
  facts: ModelFacts,
  method: AdapterOptions,
  { maxParameters, minActivePerSite }: Numbers,
): boolean => maxParameters === undefined || leastTrained(facts, method, minActivePerSite) <= maxParameters;

/** That they don't. @param proposed what the plan would have: of that, the proposal has said it */
export function tooManyTrain(
  facts: ModelFacts,
  method: AdapterOptions,
  proposed: AdapterOptions,
  most: Numbers,
): string[] {
  if (keepsNumbers(facts, method, most) || !keepsNumbers(facts, proposed, most)) return [];
  return [tooManyNumbers(most.maxParameters!, leastTrained(facts, method, most.minActivePerSite))];
}
