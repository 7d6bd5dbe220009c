import type { ExportForm } from '../../src-preload/contract/choices.ts';
import type {
  ChatPicture,
  Conversation,
  GenerateEvent,
  PlaygroundMessage,
  Sampling,
} from '../../src-preload/contract/index.ts';

export type ShownToken = Extract<GenerateEvent, { kind: 'token' }>;

/** One column's answer to one prompt. */
export interface Answer {
  text: string;
  tokens: number;
  seconds: number;
  /** of this session only: not kept with the conversation */
  shown: ShownToken[];
  /** how long its adapter took to be on the model, milliseconds */
  swapped?: number;
  state: 'waiting' | 'going' | 'done';
}
export interface Turn {
  prompt: string;
  /** what it is about */
  pictures: ChatPicture[];
  answers: Answer[];
}
export interface Column {
  adapter: string | null;
  name: string;
  /** of pictures: the share of its heads that is left out, or painted as the plain LoRA that an export writes */
  leaveOut?: number;
  form?: ExportForm;
  /** the share of what was learned that acts */
  strength?: number;
}

export const SAMPLING: Sampling = { maxTokens: 200, temperature: 0.7, topP: 0.95, topK: 0, seed: 0 };

export function emptyAnswer(): Answer {
  return { text: '', tokens: 0, seconds: 0, shown: [], state: 'waiting' };
}

type Asked = Pick<Turn, 'prompt' | 'pictures'>;

/** What one column has heard and said so far, and the new prompt. */
export function messagesFor(column: number, before: Turn[], asked: Asked, system: string): PlaygroundMessage[] {
  const said = before.flatMap(({ answers, ...turn }): PlaygroundMessage[] => [
    messageOf(turn),
    { role: 'assistant', content: answers[column]?.text ?? '' },
  ]);
  const first: PlaygroundMessage[] = system.trim() ? [{ role: 'system', content: system }] : [];
  return [...first, ...said, messageOf(asked)];
}

export function messageOf({ prompt, pictures }: Asked): PlaygroundMessage {
  const shown = pictures.map(({ id, name }) => ({ id, name }));
  return { role: 'user', content: prompt, ...(shown.length > 0 && { pictures: shown }) };
}

/** Takes an event into the answer of its column. */
export function takeEvent(answer: Answer, event: Exclude<GenerateEvent, { kind: 'loading' }>): void {
  if (event.kind === 'ready') {
    answer.swapped = event.milliseconds;
    answer.state = 'going';
  } else if (event.kind === 'token') {
    answer.text += event.piece;
    answer.tokens += 1;
    answer.shown = [...answer.shown, event];
  } else {
    answer.seconds = event.seconds;
    answer.state = 'done';
  }
}

export function keptTurns(turns: Turn[]): Conversation['turns'] {
  return turns.map(({ prompt, pictures, answers }) => ({
    prompt,
    ...(pictures.length > 0 && { pictures }),
    answers: answers.map(({ text, tokens, seconds }) => ({ text, tokens, seconds })),
  }));
}

export function openedTurns(turns: Conversation['turns']): Turn[] {
  return turns.map(({ prompt, pictures = [], answers }) => ({
    prompt,
    pictures,
    answers: answers.map((answer) => ({ ...emptyAnswer(), ...answer, state: 'done' })),
  }));
}
