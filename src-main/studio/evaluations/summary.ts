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
export function summaryOf(questions: Question[], results: ExampleResult[]): Pick<EvaluatedColumn, 'loss' | 'accuracy'> {
  const tokens = results.reduce((sum, result) => sum + result.tokens, 0);
  const loss = results.reduce((sum, result) => sum + result.loss * result.tokens, 0) / tokens;
  const asked = questions.map((question, at) => ({ question, result: results[at]! })).filter(hasOptions);
  const right = asked.filter(({ question, result }) => result.chosen === question.answer).length;
  return { loss, accuracy: asked.length > 0 ? wilson(right, asked.length) : null };
}

/** Examples the columns differ on, the widest apart in loss first. `results` by column and example. */
export function differingExamples(questions: Question[], results: ExampleResult[][]): DifferingExample[] {
  const withOptions = questions.some(({ options }) => options.length > 0);
  return questions
    .map((question, at) => {
      const found = results.map((column) => column[at]!);
      const losses = found.map(({ loss }) => loss);
      const differs = withOptions ? new Set(found.map(({ chosen }) => chosen)).size > 1 : results.length > 1;
      return { question, found, differs, spread: Math.max(...losses) - Math.min(...losses) };
    })
    .filter(({ differs }) => differs)
    .sort((a, b) => b.spread - a.spread)
    .map(({ question, found }) => ({
      question: question.question,
      answer: question.answer,
      results: found.map(({ loss, chosen }) => ({ loss, chosen: chosen ?? null })),
    }));
}

function hasOptions({ question }: { question: Question }): boolean {
  return question.options.length > 0;
}
