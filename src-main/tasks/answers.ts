import type { PreparedExample } from '../data/dataset.ts';
import type { Example } from '../data/types.ts';
import { messageText } from '../models/message-text.ts';
import { StreamText } from '../models/stream-text.ts';
import type { Tokenizer } from '../models/types.ts';

/** Tokens of an answer at most: enough to see whether form and content come, and cheap beside an evaluation. */
export const ANSWER_TOKENS = 48;

/** Floating-point operations of an answer of full length, from a model of so many parameters: 2 a weight and token. */
export const answerFlops = (parameters: number): number => ANSWER_TOKENS * 2 * parameters;

/** Longer ones are told, not named: to compare them letter by letter would say little. */
const COMPARED_LETTERS = 60;

/**
 * The answer that is compared, where an example has one: short, without options, and of several people or about a
 * picture. `given`: those of several people.
 */
export function writtenAnswerOf(prepared: PreparedExample): { expected: string; given?: string[] } | undefined {
  const { example } = prepared;
  if (optionsOf(prepared) || (example.kind !== 'chat' && example.kind !== 'completion')) return undefined;
  const given = example.answers;
  if (!given && !('pictures' in example)) return undefined;
  const expected = given?.[0] ?? example.answer ?? questionOf(example)?.expected ?? '';
  return expected === '' || expected.length > COMPARED_LETTERS ? undefined : { expected, given };
}

/** The whole characters of an answer: one that its last token only begins, as the answer is cut there, is left out. */
export async function textOf(tokens: AsyncIterable<{ id: number }>, tokenizer: Tokenizer): Promise<string> {
  const text = new StreamText(tokenizer);
  let answer = '';
  for await (const { id } of tokens) answer += text.push(id);
  return answer;
}

/** A held-out prompt that is asked again and again. */
export interface SamplePrompt<Of extends PreparedExample = PreparedExample> {
  of: Of;
  ids: Int32Array;
  prompt: string;
  expected: string;
}

/** The first `count` examples that have a prompt and an answer. */
export function firstPrompts<Of extends PreparedExample>(
  heldOut: Iterable<Of>,
  tokenizer: Tokenizer,
  count: number,
): SamplePrompt<Of>[] {
  const prompts: SamplePrompt<Of>[] = [];
  for (const example of heldOut) {
    prompts.push(...promptOf(example, tokenizer));
    if (prompts.length >= count) break;
  }
  return prompts;
}

/** What comes before the first token that carries loss is the prompt, as the model reads it in training. */
function promptOf<Of extends PreparedExample>(of: Of, tokenizer: Tokenizer): SamplePrompt<Of>[] {
  const { example, inputIds, labels } = of;
  const end = labels.findIndex((label) => label >= 0);
  const told = questionOf(example) ?? { prompt: '', expected: '' };
  if (end <= 0 || told.prompt === '') return [];
  const ids = inputIds.slice(0, end);
  const expected = told.expected || tokenizer.decode(inputIds.slice(end), { skipSpecialTokens: true });
  return [{ of, ids, prompt: told.prompt, expected }];
}

function questionOf(example: PreparedExample['example']): { prompt: string; expected: string } | undefined {
  if (example.kind === 'completion') return { prompt: example.prompt, expected: example.completion };
  if (example.kind !== 'chat') return undefined;
  const answered = example.messages.findIndex(({ role }) => role === 'assistant');
  const asked = example.messages.slice(0, answered).at(-1);
  return asked && { prompt: messageText(asked), expected: messageText(example.messages[answered]!) };
}

/** The example with another answer in place of its own. */
export function withAnswer(example: Example, option: string): Example {
  const put = (output: string) =>
    'answer' in example && example.answer && output.includes(example.answer)
      ? output.replace(example.answer, option)
      : option;
  if (example.kind === 'completion') return { ...example, completion: put(example.completion) };
  if (example.kind !== 'chat') return example;
  const last = example.messages.at(-1)!;
  return { ...example, messages: [...example.messages.slice(0, -1), { ...last, content: put(messageText(last)) }] };
}

/** An example's question with the options to choose from, where it has an answer among some. */
export function optionsOf({ example }: PreparedExample): { answer: string; options: string[] } | undefined {
  if (example.kind !== 'chat' && example.kind !== 'completion') return undefined;
  const { answer, options } = example;
  return answer && options?.includes(answer) ? { answer, options } : undefined;
}
