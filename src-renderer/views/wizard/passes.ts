import { howOften } from '../../../src-preload/counted.ts';
import { percent } from '../../format.ts';

/** The share of all that a run sees where it does not see all of it; else undefined. */
function shareOf(passes: number): string | undefined {
  if (passes < 0.01) return `less than ${percent(0.01)}`;
  return passes < 0.95 ? `about ${percent(passes)}` : undefined;
}

/** How often a run goes through what it learns from, as a part of a sentence; `what`: examples, or pictures. */
export function passesThrough(passes: number, what: string): string {
  const share = shareOf(passes);
  return share ? `${share} of all ${what}` : `${howOften(passes)} through all ${what}`;
}

/** What a run sees of the examples, as the beginning of a sentence. */
export function seesExamples(passes: number): string {
  const share = shareOf(passes);
  return share ? `Sees ${share} of all examples` : `Sees every example ${howOften(passes)}`;
}
