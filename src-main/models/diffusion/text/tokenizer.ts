import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../../engine/types.ts';
import { readJsonFile } from '../../json-file.ts';
import { clipMerges } from '../../clip-merges.ts';
import { clipTokenizerJson, mergesOf, vocabularyOf } from '../../tokenizer/clip.ts';
import { tokenizerOfFolder } from '../../tokenizer/folder-tokenizer.ts';
import { createTokenizer } from '../../tokenizer/tokenizer.ts';
import type { SpecialTexts, Tokenizer } from '../../types.ts';

/** A text as a text encoder takes it. */
export interface EncodedText {
  /** with beginning and end, filled up to the encoder's length */
  ids: Int32Array;
  /** tokens that are no padding, beginning and end among them */
  used: number;
  /** the end of the text that there was no room for */
  left?: string;
}

const MOST_VOCABULARY_BYTES = 200_000_000;
const START = '<|startoftext|>';
const END = '<|endoftext|>';

const vocabularySchema = z.record(z.string(), z.number());
const lengthSchema = z.looseObject({ model_max_length: z.number().positive().nullish() });

/** CLIP's tokenizer (transformers: CLIPTokenizer). */
export class ClipTokenizer {
  private constructor(
    readonly tokenizer: Tokenizer,
    /** tokens of every text, padding among them */
    readonly length: number,
    private readonly ends: { start: number; end: number; padding: number },
  ) {}

  /**
   * Reads it from a folder with tokenizer.json, or with vocab.json and merges.txt.
   * @param positions most tokens that the text encoder takes
   * @throws UserError naming file and field
   */
  static async open(folder: string, positions: number): Promise<ClipTokenizer> {
    const read = (await tokenizerOfFolder(folder, { eosTokenIds: [] }, (special) => makeJson(folder, special)))!;
    let tokenizer: Tokenizer;
    try {
      tokenizer = createTokenizer(read.description);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`${folder} holds no tokenizer that can be read: ${error.message}`);
    }
    const idOf = (text: string, name: string) => {
      const [id, ...more] = tokenizer.encode(text);
      if (id !== undefined && more.length === 0) return id;
      throw new UserError(`${folder}: the ${name} token "${text.slice(0, 80)}" is none of its tokenizer`);
    };
    const { bos = START, eos = END, others } = read.special;
    const { pad_token: padding = END } = others ?? {};
    const config = path.join(folder, 'tokenizer_config.json');
    const parsed = lengthSchema.safeParse(await readJsonFile(config, MOST_VOCABULARY_BYTES).catch(() => ({})));
    const length = Math.min(positions, (parsed.success && parsed.data.model_max_length) || positions);
    return new ClipTokenizer(tokenizer, length, {
      ...{ start: idOf(bos, 'first'), end: idOf(eos, 'last'), padding: idOf(padding, 'filling') },
    });
  }

  /**
   * CLIP's own, for models that bring none.
   * @param padding what texts are filled with
   */
  static async standard(length: number, padding: '<|endoftext|>' | '!'): Promise<ClipTokenizer> {
    const merges = mergesOf(await clipMerges());
    const vocab = vocabularyOf(merges, [START, END]);
    const added = addedTokens([...new Set([START, END, padding])], vocab);
    const json = clipTokenizerJson(vocab, merges, { bos: START, eos: END, unknown: END }, added);
    const tokenizer = createTokenizer({ json, addBos: false, addEos: false, eosTokenIds: [] });
    const [start, end, filling] = [START, END, padding].map((text) => vocab[text]!) as [number, number, number];
    return new ClipTokenizer(tokenizer, length, { start, end, padding: filling });
  }

  /** Ids of a text; what it is too long by is told. */
  encode(text: string): EncodedText {
    const { start, end, padding } = this.ends;
    const { ids, offsets } = this.tokenizer.encodeWithOffsets(text);
    const room = this.length - 2;
    const own = ids.slice(0, room);
    const filled = new Int32Array(this.length).fill(padding);
    filled.set([start, ...own, end]);
    return { ids: filled, used: own.length + 2, left: ids.length > room ? text.slice(offsets[room]![0]) : undefined };
  }
}

async function makeJson(folder: string, { bos, eos, others }: SpecialTexts): Promise<object> {
  const file = path.join(folder, 'vocab.json');
  const vocab = vocabularySchema.safeParse(await readJsonFile(file, MOST_VOCABULARY_BYTES));
  if (!vocab.success) throw new UserError(`${file} is no table of tokens; fetch it again`);
  const ends = { bos: bos ?? START, eos: eos ?? END, unknown: others?.unk_token ?? END };
  for (const text of Object.values(ends))
    if (vocab.data[text] === undefined) throw new UserError(`${file} has no token "${text.slice(0, 80)}"`);
  // Those that no file names are found in texts as well.
  const named = [bos, eos, ...Object.values(others ?? {})];
  const unnamed = [...new Set(Object.values(ends))].filter((text) => !named.includes(text));
  const added = addedTokens(unnamed, vocab.data);
  return clipTokenizerJson(vocab.data, await readMerges(path.join(folder, 'merges.txt')), ends, added);
}

/** Tokens that no file says the flags of. */
const addedTokens = (texts: string[], vocab: Record<string, number>) =>
  texts.map((content) => ({
    ...{ special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    ...{ content, id: vocab[content]! },
  }));

async function readMerges(file: string): Promise<string[]> {
  const text = await fsp.readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file} can't be opened (${error.code}); check the path`);
  });
  return mergesOf(text);
}
