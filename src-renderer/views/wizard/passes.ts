import { percent } from '../../format.ts';

/** How often a run goes through what it learns from, as a part of a sentence; `what`: examples, or pictures. */
export function passesThrough(passes: number, what: string): string {
  const rounded = Number(passes.toFixed(1));
  if (passes < 0.01) return `less than ${percent(0.01)} of all ${what}`;
  if (rounded < 1) return `about ${percent(passes)} of all ${what}`;
  return `${rounded === 1 ? 'once' : `${rounded} times`} through all ${what}`;
}
