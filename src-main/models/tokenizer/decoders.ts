import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { CHARACTER_BYTES } from './byte-level.ts';
import { metaspaceScheme, metaspaceSchema, read } from './cutters.ts';
import { matcher, patternSchema } from './patterns.ts';
import { byteOfToken } from './vocabulary.ts';

/** Turns tokens back into text, step by step; the steps' results are joined in the end. */
export type Decoder = (tokens: string[]) => string[];

const typed = z.looseObject({ type: z.string() });
const options = {
  Sequence: z.looseObject({ decoders: z.array(z.unknown()) }),
  Replace: z.looseObject({ pattern: patternSchema, content: z.string() }),
  Strip: z.looseObject({
    content: z.string(),
    start: z.number().int().nonnegative(),
    stop: z.number().int().nonnegative(),
  }),
  BPEDecoder: z.looseObject({ suffix: z.string().default('</w>') }),
  WordPiece: z.looseObject({ prefix: z.string().default('##'), cleanup: z.boolean().default(true) }),
};

/** @returns undefined without one @throws UserError for a kind that is not known */
export function decoder(json: unknown): Decoder | undefined {
  if (json === null || json === undefined) return undefined;
  const parsed = typed.safeParse(json);
  if (!parsed.success) throw new UserError('its decoder has no type');
  const step = parsed.data;
  switch (step.type) {
    case 'Sequence': {
      const steps = read(options.Sequence, step).decoders.map(decoder);
      return (tokens) => steps.reduce((texts, change) => (change ? change(texts) : texts), tokens);
    }
    case 'ByteLevel':
      return (tokens) => [textOf(tokens.flatMap(bytesOf))];
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Metaspace':
      return metaspace(read(metaspaceSchema, step));
    case 'Replace': {
      const { pattern, content } = read(options.Replace, step);
      const matches = matcher(pattern);
      return (tokens) => tokens.map((token) => replaced(token, matches(token), content));
    }
    case 'Strip': {
      const { content, start, stop } = read(options.Strip, step);
      return (tokens) => tokens.map((token) => stripped(token, content, start, stop));
    }
    case 'BPEDecoder': {
      const { suffix } = read(options.BPEDecoder, step);
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '));
    }
    case 'WordPiece':
      return wordPiece(read(options.WordPiece, step));
    default:
      throw new UserError(`its decoder "${step.type}" is not known`);
  }
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const strictUtf8 = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const textOf = (bytes: number[]) => utf8.decode(Uint8Array.from(bytes));

/** The bytes a token of byte characters stands for; one with any other character stands for itself. */
function bytesOf(token: string): number[] {
  const bytes = Array.from(token, (character) => CHARACTER_BYTES.get(character));
  return bytes.every((byte) => byte !== undefined) ? bytes : [...Buffer.from(token, 'utf8')];
}

/** Tokens <0x..> side by side become their text, or a � each where they are none. */
function byteFallback(tokens: string[]): string[] {
  const out: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      out.push(strictUtf8.decode(Uint8Array.from(bytes)));
    } catch {
      out.push(...bytes.map(() => '\ufffd'));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = byteOfToken(token);
    if (byte !== undefined) bytes.push(byte);
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}

/** Marks become spaces; those of the first token stand for no text where the tokenizer put them before it. */
function metaspace(step: z.infer<typeof metaspaceSchema>): Decoder {
  const dropsFirst = metaspaceScheme(step) !== 'never';
  return (tokens) => tokens.map((token, i) => token.replaceAll(step.replacement, i === 0 && dropsFirst ? '' : ' '));
}

function replaced(text: string, matches: number[], content: string): string {
  let out = '';
  let at = 0;
  for (let i = 0; i < matches.length; i += 2) {
    out += text.slice(at, matches[i]) + content;
    at = matches[i + 1]!;
  }
  return out + text.slice(at);
}

function stripped(token: string, content: string, start: number, stop: number): string {
  const characters = [...token];
  let from = 0;
  while (from < start && from < characters.length && characters[from] === content) from++;
  let to = characters.length;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

const CLEANUP = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

function wordPiece({ prefix, cleanup }: z.infer<typeof options.WordPiece>): Decoder {
  return (tokens) =>
    tokens.map((token, i) => {
      const text = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? CLEANUP.reduce((all, [from, to]) => all.replaceAll(from, to), text) : text;
    });
}
