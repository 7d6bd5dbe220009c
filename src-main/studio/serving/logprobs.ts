import type { TokenOnStage } from '../stage/types.ts';

/** What OpenAI's API says where a probability is too small to have a logarithm. */
const LEAST = -9999;

const described = ({ text, probability }: { text: string; probability: number }) => ({
  token: text,
  logprob: Math.max(Math.log(probability), LEAST),
  // A token that is part of a character has no text of its own, and its bytes are not known here.
  bytes: text.includes('\ufffd') ? null : [...Buffer.from(text)],
});

/** Tokens with their probabilities in the shape of OpenAI's API: the model's own, before temperature, top-p and top-k. */
export function logprobsOf(tokens: TokenOnStage[]): object {
  const content = tokens.map((token) => ({ ...described(token), top_logprobs: token.top.map(described) }));
  return { content, refusal: null };
}
