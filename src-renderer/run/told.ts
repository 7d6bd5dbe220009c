import type { MetricsRecord } from '../../src-preload/contract/index.ts';
import { decimal, duration, number } from '../format.ts';

/** Held-out losses of a run's first and last measure; undefined where there were no two. */
export function heldOutSpan(metrics: MetricsRecord[]): { from: number; to: number; atStart: boolean } | undefined {
  const measured = metrics.filter((record) => typeof record.evalLoss === 'number');
  const [first, last] = [measured[0], measured.at(-1)];
  if (!first || !last || first === last) return undefined;
  return { from: first.evalLoss!, to: last.evalLoss!, atStart: first.step === 0 };
}

/** "Held-out loss 4.87 to 1.00 in 10 min"; `seconds` of training, where they are known. */
export function endSentence(span: { from: number; to: number }, seconds: number | null | undefined): string {
  const time = typeof seconds === 'number' ? ` in ${duration(seconds)}` : '';
  const [from, to] = [span.from, span.to].map((loss) => (loss < 0.1 ? number(loss, 2) : decimal(loss, 2)));
  return `Held-out loss ${from} to ${to}${time}`;
}
