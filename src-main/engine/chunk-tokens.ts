/** Logits that the compositions have at a time: 64 MiB of them, a few times. */
const MOST_LOGITS = 1 << 24;

/** Tokens whose logits the compositions have at a time, of a vocabulary of so many. */
export const composedChunkTokens = (vocabularySize: number): number =>
  Math.min(512, Math.max(16, Math.floor(MOST_LOGITS / vocabularySize)));
