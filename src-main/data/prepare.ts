import { UserError } from '../engine/types.ts';
import type { ChatTemplate, Tokenizer } from '../models/types.ts';
import { renderExample, tokenizeRendered } from './render.ts';
import type { Example, TokenizedExample } from './types.ts';
import { windowsOf, type LongExamples } from './windows.ts';

/** What an example's tokens and labels depend on beside the example. */
export interface TokenOptions {
  /** needed unless every dataset is pre-tokenized */
  tokenizer?: Tokenizer;
  template?: ChatTemplate;
  loss: 'answer' | 'all';
  /** ids at or above it are refused */
  vocabularySize: number;
}

export interface DatasetOptions extends TokenOptions {
  /** longest example in tokens */
  sequenceLength: number;
  /** what becomes of longer ones; default: they are cut off at their end */
  long?: LongExamples;
}

/** An example with what accuracy needs of it. */
export interface PreparedExample extends TokenizedExample {
  readonly example: Example;
}

/** A whole example's tokens, and how many of them are its system message, where it begins with one. */
export interface WholeTokens {
  inputIds: number[];
  labels: number[];
  lead: number;
}

/** A whole example's tokens, however many; a text says why it can't be used. */
export function tokenizeExample(example: Example, options: TokenOptions): WholeTokens | string {
  const tokens = tokensOrReason(example, options);
  if (typeof tokens === 'string') return tokens;
  const tooLarge = tokens.inputIds.find((id) => id >= options.vocabularySize);
  if (tooLarge !== undefined) return `token ${tooLarge} is outside the model's vocabulary of ${options.vocabularySize}`;
  return tokens;
}

/** Tokenizes one example, and of a long one takes what comes first; a text says why it can't be used. */
export function prepare(example: Example, source: number, options: DatasetOptions): PreparedExample | string {
  const tokens = tokenizeExample(example, options);
  if (typeof tokens === 'string') return tokens;
  const { inputIds, labels } = tokens;
  const { sequenceLength, long = 'truncate' } = options;
  const windows = windowsOf(inputIds.length, lossRuns(labels), sequenceLength, long);
  if (typeof windows === 'string') return windows;
  const { from, to } = windows[0]!;
  return {
    row: example.row,
    source,
    example,
    truncated: long === 'truncate' && to < inputIds.length,
    inputIds: Int32Array.from(inputIds.slice(from, to)),
    labels: Int32Array.from(labels.slice(from, to)),
  };
}

/** The runs [from, to) of labels that carry loss, one after the other. */
export function lossRuns(labels: ArrayLike<number>): number[] {
  const runs: number[] = [];
  for (let i = 0; i < labels.length; i++) {
    const carries = labels[i]! >= 0;
    const inside = runs.length % 2 === 1;
    if (carries !== inside) runs.push(i);
  }
  if (runs.length % 2 === 1) runs.push(labels.length);
  return runs;
}

/** A template may refuse one row's messages (two users in a row, a system prompt): that row alone goes. */
function tokensOrReason(example: Example, options: TokenOptions) {
  try {
    return tokensOf(example, options);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

function tokensOf(example: Example, options: TokenOptions): WholeTokens {
  if (example.kind === 'tokens')
    return { inputIds: example.inputIds, labels: example.labels ?? example.inputIds, lead: 0 };
  const tokenizer = options.tokenizer!;
  const rendered = renderExample(example, { tokenizer, template: options.template, loss: options.loss })!;
  if (/\p{Surrogate}/u.test(rendered.text))
    throw new UserError('it holds half a character (a lone surrogate), no text');
  // A template writes its own special tokens; plain text gets the tokenizer's.
  const plain = example.kind !== 'chat' || !options.template;
  const { ids, carriesLoss, lead } = tokenizeRendered(rendered, tokenizer, plain);
  return { inputIds: ids, labels: ids.map((id, i) => (carriesLoss[i] ? id : -100)), lead };
}
