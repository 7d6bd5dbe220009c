import { expect, it } from 'vitest';
import { textOf } from '../../src-main/tasks/answers.ts';
import type { Tokenizer } from '../../src-main/models/types.ts';

it('ends a sample answer before a character that its last token only begins', async () => {
  const bytes = new TextEncoder().encode('Gut 🙂🙂');
  // A token a byte; the answer is cut after two of the last emoji's four.
  const tokenizer = { eosTokenIds: [], tokenBytes: (id: number) => bytes.slice(id, id + 1) } as unknown as Tokenizer;
  async function* tokens(count: number) {
    for (let id = 0; id < count; id += 1) yield { id };
  }
  expect(await textOf(tokens(bytes.length - 2), tokenizer)).toBe('Gut 🙂');
  expect(await textOf(tokens(bytes.length), tokenizer)).toBe('Gut 🙂🙂');
});
