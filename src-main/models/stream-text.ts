import type { Tokenizer } from './types.ts';

/** Turns tokens into text as they come, holding back the bytes of a character that is not whole yet. */
export class StreamText {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #tokenizer: Tokenizer;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The text that this token completes; may be empty, and is for tokens that end the text. */
  push(id: number): string {
    if (this.#tokenizer.eosTokenIds.includes(id)) return '';
    return this.#decoder.decode(this.#tokenizer.tokenBytes(id), { stream: true });
  }

  /** What was held back at the end: a replacement character for bytes that never became one. */
  end(): string {
    return this.#decoder.decode();
  }
}
