/** Tokens that end a text or a turn by what they are called (llama.cpp, llama_vocab::impl::load). */
const NAMES = [
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '</s>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
  '<turn|>',
  '<|tool_response>',
  '<｜end▁of▁sentence｜>',
  '[e~[',
];

/** The ids of a vocabulary's tokens that end a text or a turn, whether the file names them or not. */
export function stopTokens(tokens: string[]): number[] {
  const named = new Set(NAMES);
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => named.has(token) && ids.set(token, id));
  const has = (name: string) => ids.has(name);
  // There <|end|> ends a message of several, not the turn.
  const harmony = (has('<|return|>') && has('<|call|>')) || ((has('<|call|>') || has('<|calls|>')) && has('<|flush|>'));
  return NAMES.filter((name) => has(name) && !(harmony && name === '<|end|>')).map((name) => ids.get(name)!);
}
