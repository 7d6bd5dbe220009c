import { UserError } from '../engine/types.ts';
import type { ChatMessage, ChatTemplate, TemplateOptions } from '../models/types.ts';

/** A conversation as its template writes it, and where each answer stands: from the end of what asks for it to its end of turn. */
export interface Turns {
  text: string;
  /** by message; undefined for those that are no answer */
  answers: ([from: number, to: number] | undefined)[];
  /** what stands in the template's {% generation %} blocks */
  generated: [from: number, to: number][];
}

type Given = Pick<TemplateOptions, 'tools' | 'documents' | 'now'>;

/** A text put in place of something of a message, and found again in what the template makes of it. */
interface Mark {
  /** the message with the mark in it */
  message: ChatMessage;
  text: string;
}

/**
 * Renders a conversation and finds its answers by rendering parts and variants of it, never by searching for their texts: a
 * template may trim them, leave their thoughts out, or write earlier turns otherwise than the last.
 * @throws UserError when the template refuses the conversation, or an answer's place can't be told
 */
export function turnsOf(messages: ChatMessage[], template: ChatTemplate, given: Given = {}): Turns {
  const { text, generated } = template.rendering(messages, given);
  const conversation = new Conversation(messages, template, given, text);
  const answers = messages.map(({ role }, i): [number, number] | undefined => {
    if (role !== 'assistant') return undefined;
    const from = conversation.start(i);
    const to = conversation.end(i);
    if (from !== undefined && to !== undefined && from <= to) return [from, to];
    throw new UserError(
      `The chat template doesn’t let it be told where it writes answer ${i + 1} of the conversation, so its tokens can’t be learned`,
    );
  });
  return { text, answers, generated };
}

class Conversation {
  readonly #sign: string;

  constructor(
    readonly messages: ChatMessage[],
    readonly template: ChatTemplate,
    readonly given: Given,
    readonly text: string,
  ) {
    // A sign that the conversation doesn't hold itself.
    let sign = '\ue000';
    while (text.includes(sign) && sign.length < 64) sign += '\ue000';
    this.#sign = sign;
  }

  #render(messages: ChatMessage[], addGenerationPrompt = false): string | undefined {
    try {
      return this.template.render(messages, { ...this.given, addGenerationPrompt });
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  /** Where answer i begins: behind what the model is given when it is asked for it. */
  start(i: number): number | undefined {
    const asked = this.#render(this.messages.slice(0, i), true);
    if (asked !== undefined && this.text.startsWith(asked)) return asked.length;
    for (const mark of this.#marks(i)) {
      const before = split(this.#render(this.#with(mark, i)), mark)?.[0];
      if (before === undefined) continue;
      const own = this.#ownPart(i, mark, before, asked);
      const from = before.length - own;
      if (this.text.startsWith(before.slice(0, from))) return from;
    }
    return undefined;
  }

  /** Characters before the mark in message i that the model isn't given when it is asked, but has to say. */
  #ownPart(i: number, mark: Mark, before: string, asked: string | undefined): number {
    // From the last turn before it that can be found: earlier ones may be written otherwise there.
    for (let j = i - 1; j >= 0; j--) {
      for (const earlier of this.#marks(j)) {
        const short = split(this.#render(this.#with(earlier, j).slice(0, i), true), earlier)?.[1];
        const whole = split(this.#render(this.#with(earlier, j, this.#with(mark, i))), earlier)?.[1];
        const between = split(whole, mark)?.[0];
        if (short !== undefined && between !== undefined) return between.length - inCommon(short, between);
      }
    }
    return before.length - inCommon(asked ?? '', before);
  }

  /** Where answer i ends: behind what the template writes to end it. */
  end(i: number): number | undefined {
    if (i === this.messages.length - 1) return this.text.length;
    const upTo = this.#render(this.messages.slice(0, i + 1));
    if (upTo !== undefined && this.text.startsWith(upTo)) return this.#withEos(i, upTo.length);
    for (const mark of this.#marks(i)) {
      const behind = split(this.#render(this.#with(mark, i)), mark)?.[1];
      const closing = split(this.#render(this.#with(mark, i).slice(0, i + 1)), mark)?.[1];
      if (behind === undefined || closing === undefined || !this.text.endsWith(behind)) continue;
      const common = wholeTags(behind, Math.min(inCommon(closing, behind), this.#upToNext(i, mark, behind)));
      return this.#withEos(i, this.text.length - behind.length + common);
    }
    return undefined;
  }

  /** Characters behind the mark in message i before the next message's own text. */
  #upToNext(i: number, mark: Mark, behind: string): number {
    for (const next of this.#marks(i + 1)) {
      const whole = split(this.#render(this.#with(next, i + 1, this.#with(mark, i))), mark)?.[1];
      const between = split(whole, next)?.[0];
      if (between !== undefined) return between.length;
    }
    return behind.length;
  }

  /** A template that writes the end-of-sequence token between turns alone: it ends the turn before it. */
  #withEos(i: number, end: number): number {
    const { eos } = this.template.tokens;
    if (!eos || !this.text.startsWith(eos, end)) return end;
    const bare = this.#marks(i).some((mark) => {
      const closing = split(this.#render(this.#with(mark, i).slice(0, i + 1)), mark)?.[1];
      return closing?.trim() === '';
    });
    return bare ? end + eos.length : end;
  }

  #with({ message }: Mark, i: number, messages = this.messages): ChatMessage[] {
    return messages.map((other, at) => (at === i ? message : other));
  }

  /** The ways to mark message i: its content, the name of its first call, its thought. */
  #marks(i: number): Mark[] {
    const message = this.messages[i]!;
    const text = `${this.#sign}${i}${this.#sign}`;
    const content = Array.isArray(message.content) ? [{ type: 'text', text }] : text;
    const marks: Mark[] = [{ text, message: { ...message, content } }];
    const [first, ...rest] = (message.tool_calls ?? []) as { function?: object }[];
    if (first?.function) {
      const marked = { ...first, function: { ...first.function, name: text } };
      marks.push({ text, message: { ...message, tool_calls: [marked, ...rest] } });
    }
    if (message.reasoning_content) marks.push({ text, message: { ...message, reasoning_content: text } });
    return marks;
  }
}

/** A text before and behind a mark that stands in it once. */
function split(text: string | undefined, { text: mark }: Mark): [before: string, behind: string] | undefined {
  const parts = text?.split(mark);
  return parts?.length === 2 ? [parts[0]!, parts[1]!] : undefined;
}

/** Characters at the beginning that two texts have in common. */
function inCommon(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/** A length that cuts no tag such as <|im_start|> or [INST] in two: at its beginning instead. */
function wholeTags(text: string, length: number): number {
  for (const tag of text.matchAll(/<[^<>\s]+>|\[[^[\]\s]+\]/g))
    if (tag.index < length && tag.index + tag[0].length > length) return tag.index;
  return length;
}
