import type { DifferingExample, EvaluatedColumn } from '../../../src-preload/contract/index.ts';
import type { EvaluateEvent, ExampleResult } from '../stage/types.ts';

export type Question = Extract<EvaluateEvent, { kind: 'examples' }>['examples'][number];

/** Two-sided 95 % of a normal distribution. */
const Z = 1.959964;

/** Wilson's score interval for `right` of `all`, 95 % (Wilson 1927): sound for few questions and for shares near 0 and 1. */
export function wilson(right: number, all: number): { share: number; low: number; high: number } {
  const share = right / all;
  const middle = share + Z ** 2 / (2 * all);
  const half = Z * Math.sqrt((share * (1 - share)) / all + Z ** 2 / (4 * all ** 2));
  const whole = 1 + Z ** 2 / all;
  return { share, low: Math.max(0, (middle - half) / whole), high: Math.min(1, (middle + half) / whole) };
}

/** Loss and accuracy of one column. */
export function summaryOf(results: ExampleResult[]): Pick<EvaluatedColumn, 'loss' | 'accuracy'> {
  const tokens = results.reduce((sum, result) => sum + result.tokens, 0);
  const loss = results.reduce((sum, result) => sum + result.loss * result.tokens, 0) / tokens;
  const rights = results.flatMap(({ right }) => right ?? []);
  // Agreements are shares: of a mean of such the interval is too wide, if anything.
  const sum = rights.reduce((all, right) => all + right, 0);
  return { loss, accuracy: rights.length > 0 ? wilson(sum, rights.length) : null };
}

/** Examples the columns differ on, the widest apart in loss first. `results` by column and example. */
export function differingExamples(questions: Question[], results: ExampleResult[][]): DifferingExample[] {
  const isJudged = results.flat().some(({ right }) => right !== undefined);
  return questions
    .map((question, at) => {
      const found = results.map((column) => column[at]!);
      const losses = found.map(({ loss }) => loss);
      const said = ({ chosen, right }: ExampleResult) => chosen ?? right;
      const differs = isJudged ? new Set(found.map(said)).size > 1 : results.length > 1;
      return { question, found, differs, spread: Math.max(...losses) - Math.min(...losses) };
    })
    .filter(({ differs }) => differs)
    .sort((a, b) => b.spread - a.spread)
    .map(({ question, found }) => ({
      question: question.question,
      answer: question.answer,
      results: found.map(({ loss, chosen, right }) => ({ loss, chosen: chosen ?? null, right: right ?? null })),
    }));
}

/** How many examples' answers were told right or wrong, and by what. */
export function measuredBy(results: ExampleResult[]): { options: number; agreement: number; exact: number } {
  const count = (what: ExampleResult['by']) => results.filter(({ by }) => by === what).length;
  return { options: count('options'), agreement: count('agreement'), exact: count('exact') };
}
