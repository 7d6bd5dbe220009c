import type { ChatMessage } from '../models/types.ts';
import { answersOf, withOptions } from './answers.ts';
import type { ColumnPlan } from './columns.ts';
import { fieldText, integers, isLearned, isMessageList, isPresent, parsedIfText, RowRefusal } from './field-text.ts';
import { readList, readMessages } from './messages.ts';
import type { Example, ExampleFormat, Row } from './types.ts';

/** One row's fields by their names in the format. */
class Fields {
  constructor(
    readonly row: number,
    private readonly values: Row['fields'],
    private readonly columns: ColumnPlan['columns'],
  ) {}

  value(field: string): unknown {
    const column = this.columns[field];
    return column === undefined ? undefined : this.values[column];
  }

  text(field: string): string {
    return fieldText(this.value(field), this.columns[field] ?? field);
  }

  /** @throws RowRefusal where it is blank */
  filled(field: string): string {
    const text = this.text(field);
    if (!text.trim()) throw new RowRefusal(`the ${field} is empty`);
    return text;
  }

  list(field: string): unknown[] | undefined {
    return readList(this.value(field), field);
  }

  messages(field: string): ChatMessage[] {
    return readMessages(this.value(field), this.columns[field] ?? field);
  }
}

/** One row as an example, or the reason why it is none. */
export function readExample({ row, fields }: Row, { format, columns, media }: ColumnPlan): Example | string {
  try {
    for (const column of media) checkMedia(fields[column], column);
    const named = new Fields(row, fields, columns);
    checkWeight(named);
    return READERS[format](named);
  } catch (error) {
    if (error instanceof RowRefusal) return error.message;
    throw error;
  }
}

const PICTURES = /^(image|picture|photo)s?$/i;

/** An answer about a picture teaches guessing to who doesn't see it. */
function checkMedia(value: unknown, column: string): void {
  if (!isPresent(value) || value === '' || (Array.isArray(value) && value.length === 0)) return;
  const instead = PICTURES.test(column)
    ? 'the base model reads text alone; choose one that sees pictures, or leave that column out to learn the text by itself'
    : 'only text is read; to learn its text alone, leave that column out';
  throw new RowRefusal(`it comes with something to see or hear (column "${column}"), and ${instead}`);
}

function checkWeight(fields: Fields): void {
  const weight = fields.text('weight').trim();
  const learned = weight === '' || isLearned(weight);
  if (learned) return;
  if (learned === false) throw new RowRefusal('its weight is 0: it is not to be learned');
  throw new RowRefusal(
    `its weight is ${weight}; 0 (not learned) and 1 are read; if the column "weight" means something else, give it another name`,
  );
}

const READERS: Record<ExampleFormat, (fields: Fields) => Example> = {
  tokens,
  chat: (fields) => chat(fields, fields.messages('messages')),
  instruction,
  completion,
  text: (fields) => ({ kind: 'text', row: fields.row, text: fields.filled('text') }),
};

function tokens(fields: Fields): Example {
  const ids = integers(fields.value('input_ids'));
  if (!ids?.length || ids.some((id) => id < 0)) throw new RowRefusal('input_ids is not a list of token ids');
  const [given, mask] = [fields.value('labels'), fields.value('attention_mask')];
  const labels = isPresent(given) && given !== '' ? integers(given) : undefined;
  if (isPresent(given) && given !== '' && (labels?.length !== ids.length || labels.some((label) => label < -100)))
    throw new RowRefusal('labels is not a list as long as input_ids');
  if (!isPresent(mask) || mask === '') return { kind: 'tokens', row: fields.row, inputIds: ids, labels };
  const seen = integers(mask);
  if (seen?.length !== ids.length) throw new RowRefusal('attention_mask is not a list as long as input_ids');
  // Padding, which is neither read nor learned.
  const unpadded = (list: number[]) => list.filter((_, i) => seen[i] !== 0);
  return { kind: 'tokens', row: fields.row, inputIds: unpadded(ids), labels: labels && unpadded(labels) };
}

function chat(fields: Fields, given: ChatMessage[]): Example {
  const messages = withSystem(given, fields.text('system'));
  if (!messages.some(({ role }) => role === 'assistant')) throw new RowRefusal('no message is the assistant’s');
  return {
    kind: 'chat',
    row: fields.row,
    messages,
    tools: fields.list('tools'),
    documents: fields.list('documents'),
    answers: answersOf(fields.value('answers')),
  };
}

/** The system prompt of a column of its own stands before the messages. */
function withSystem(messages: ChatMessage[], system: string): ChatMessage[] {
  if (system.trim() === '') return messages;
  const [first] = messages;
  if (first?.role !== 'system') return [{ role: 'system', content: system }, ...messages];
  if (first.content === system) return messages;
  throw new RowRefusal('it has two system prompts: one in a column, another in the messages');
}

function instruction(fields: Fields): Example {
  const answers = answersOf(fields.value('answers'));
  const asked = fields.filled('instruction');
  const input = fields.text('input');
  const among = withOptions(fields, input ? `${asked}\n\n${input}` : asked);
  const output = among?.answer ?? answersOf(fields.value('output'))?.[0] ?? fields.filled('output');
  const messages = [
    ...history(fields.value('history')),
    { role: 'user', content: among?.asked ?? (input ? `${asked}\n\n${input}` : asked) },
    { role: 'assistant', content: output },
  ];
  const { tools, documents } = { tools: fields.list('tools'), documents: fields.list('documents') };
  const answer = among?.answer ?? (fields.text('answer') || undefined);
  const options = among?.options ?? answerOptions(asked);
  const system = withSystem(messages, fields.text('system'));
  return { kind: 'chat', row: fields.row, messages: system, tools, documents, answer, options, answers };
}

/** Earlier turns, [question, answer] each. */
function history(value: unknown): ChatMessage[] {
  if (!isPresent(value) || value === '') return [];
  const turns = parsedIfText(value);
  if (!Array.isArray(turns)) throw new RowRefusal('history is not a list of [question, answer]');
  return turns.flatMap((turn: unknown) => {
    if (!Array.isArray(turn) || turn.length !== 2 || !turn.every((part) => typeof part === 'string'))
      throw new RowRefusal('history is not a list of [question, answer]');
    const [question, answer] = turn as [string, string];
    return [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ];
  });
}

/** Texts, or lists of messages: then those of the completion carry loss, and none of the prompt. */
function completion(fields: Fields): Example {
  // Kept as CSV and Parquet keep it, too.
  if (/^(false|0)$/i.test(fields.text('label').trim()))
    throw new RowRefusal('its label is false: a completion that is not to be learned');
  const given = [fields.value('prompt'), fields.value('completion')];
  const [isPrompt, isCompletion] = given.map((value) => isMessageList(value) || isMessageList(parsedIfText(value)));
  if (isPrompt !== isCompletion && isPresent(given[0]) && given[0] !== '')
    throw new RowRefusal('of prompt and completion one is a list of messages and the other a text');
  if (isCompletion) {
    const unlearned = (message: ChatMessage) => (message.role === 'assistant' ? { ...message, weight: 0 } : message);
    const before = isPrompt ? fields.messages('prompt').map(unlearned) : [];
    return chat(fields, [...before, ...fields.messages('completion')]);
  }
  const [prompt, written] = [fields.text('prompt'), fields.text('completion')];
  if (!written) throw new RowRefusal('the completion is empty');
  const answer = fields.text('answer') || undefined;
  for (const field of ['system', 'tools', 'documents'])
    if (fields.text(field).trim()) throw new RowRefusal(`its ${field} needs messages; read it with the mapping instruction=prompt`); // prettier-ignore
  const among = { options: answerOptions(prompt), answers: answersOf(fields.value('answers')) };
  return { kind: 'completion', row: fields.row, prompt, completion: written, answer, ...among };
}

/** The options of an instruction's "Answer format: a/b/c" line. */
export function answerOptions(instruction: string): string[] | undefined {
  const [, line] = /^Answer format: *(.+)$/m.exec(instruction) ?? [];
  const options = line
    ?.split('/')
    .map((option) => option.trim())
    .filter(Boolean);
  return options && options.length > 1 ? options : undefined;
}
