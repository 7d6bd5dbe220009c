import type { PreparedExample } from '../../data/dataset.ts';
import type { CausalLM } from '../../models/causal-lm.ts';
import { generate } from '../../models/generate.ts';
import { messageText } from '../../models/message-text.ts';
import { endsOf } from '../../models/prompt.ts';
import { StreamText } from '../../models/stream-text.ts';
import type { Adaptation, Tokenizer } from '../../models/types.ts';
import type { SampleLine, Samples } from '../task.ts';

/** Tokens of an answer at most: enough to see whether form and content come, and cheap beside an evaluation. */
const ANSWER_TOKENS = 48;

/** Floating-point operations of an answer of full length, from a model of so many parameters: 2 a weight and token. */
export const answerFlops = (parameters: number): number => ANSWER_TOKENS * 2 * parameters;

/** Held-out prompts that the run is asked again and again. */
export class SamplePrompts implements Samples<CausalLM> {
  private readonly prompts: { ids: Int32Array; prompt: string; expected: string }[];

  /** The first `count` examples that have a prompt and an answer; without a tokenizer there are none. */
  constructor(
    private readonly tokenizer: Tokenizer | undefined,
    heldOut: Iterable<PreparedExample>,
    count: number,
  ) {
    this.prompts = tokenizer && count > 0 ? firstPrompts(heldOut, tokenizer, count) : [];
  }

  /** The likeliest answer to each prompt, from the model with `adaptation`. */
  async answer(step: number, model: CausalLM, adaptation: Adaptation): Promise<SampleLine[]> {
    const lines: SampleLine[] = [];
    for (const { ids, prompt, expected } of this.prompts) {
      const stop = endsOf(model.config, this.tokenizer!);
      const tokens = generate(model, ids, { maxTokens: ANSWER_TOKENS, adaptation, stop });
      const answer = await textOf(tokens, this.tokenizer!);
      lines.push({ step, prompt, answer: answer.trim(), expected });
    }
    return lines;
  }
}

function firstPrompts(heldOut: Iterable<PreparedExample>, tokenizer: Tokenizer, count: number) {
  const prompts: ReturnType<typeof promptOf> = [];
  for (const example of heldOut) {
    prompts.push(...promptOf(example, tokenizer));
    if (prompts.length >= count) break;
  }
  return prompts;
}

/** The whole characters of an answer: one that its last token only begins, as the answer is cut there, is left out. */
export async function textOf(tokens: AsyncIterable<{ id: number }>, tokenizer: Tokenizer): Promise<string> {
  const text = new StreamText(tokenizer);
  let answer = '';
  for await (const { id } of tokens) answer += text.push(id);
  return answer;
}

/** What comes before the first token that carries loss is the prompt, as the model reads it in training. */
function promptOf({ example, inputIds, labels }: PreparedExample, tokenizer: Tokenizer) {
  const end = labels.findIndex((label) => label >= 0);
  const told = questionOf(example) ?? { prompt: '', expected: '' };
  if (end <= 0 || told.prompt === '') return [];
  const ids = inputIds.slice(0, end);
  const expected = told.expected || tokenizer.decode(inputIds.slice(end), { skipSpecialTokens: true });
  return [{ ids, prompt: told.prompt, expected }];
}

function questionOf(example: PreparedExample['example']): { prompt: string; expected: string } | undefined {
  if (example.kind === 'completion') return { prompt: example.prompt, expected: example.completion };
  if (example.kind !== 'chat') return undefined;
  const answered = example.messages.findIndex(({ role }) => role === 'assistant');
  const asked = example.messages.slice(0, answered).at(-1);
  return asked && { prompt: messageText(asked), expected: messageText(example.messages[answered]!) };
}
