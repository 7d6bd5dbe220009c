import { createHash } from 'node:crypto';
import fs from 'node:fs';
import type { PreparedExample } from '../../../src-main/data/prepare.ts';
import { END } from './byte-tokenizer.ts';

export interface Question {
  prompt: string;
  completion: string;
}

/** So many questions and answers of some 450 bytes; every hundredth has no answer. */
export function questions(count: number): Question[] {
  return Array.from({ length: count }, (_, i) => ({
    prompt: `${i}: größer als ${'日本 '.repeat(i % 17)}?`,
    completion: i % 100 === 99 ? '' : `${'so much, '.repeat(20 + (i % 41))}${i}`,
  }));
}

export function writeQuestions(file: string, count: number): string {
  fs.writeFileSync(file, questions(count).map((row) => `${JSON.stringify(row)}\n`).join('')); // prettier-ignore
  return file;
}

/** What a row is to become: its bytes and the end, of which the answer's carry loss. */
export function expected({ prompt, completion }: Question, sequenceLength: number) {
  const inputIds = [...Buffer.from(prompt + completion), END].slice(0, sequenceLength);
  const labels = inputIds.map((id, i) => (i < Buffer.byteLength(prompt) ? -100 : id));
  return { inputIds, labels };
}

/** One text for all that is read of examples. */
export function digestOf(examples: Iterable<PreparedExample>): string {
  const hash = createHash('sha256');
  for (const { row, source, truncated, inputIds, labels, example } of examples) {
    hash.update(JSON.stringify([row, source, truncated, inputIds.length, labels.length, example]));
    for (const { buffer, byteOffset, byteLength } of [inputIds, labels])
      hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
