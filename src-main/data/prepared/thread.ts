import { parentPort } from 'node:worker_threads';
import { chatTemplate } from '../../models/chat-template.ts';
import { createTokenizer } from '../../models/tokenizer/tokenizer.ts';
import type { ChatTemplate, Tokenizer } from '../../models/types.ts';
import type { ColumnPlan } from '../columns.ts';
import type { BrokenRow } from '../formats/rows.ts';
import type { TokenOptions } from '../prepare.ts';
import type { Row } from '../types.ts';
import { recordsOf, type RecordChunk } from './records.ts';

/** What a thread is told first. */
export interface ThreadData {
  plan: ColumnPlan;
  loss: TokenOptions['loss'];
  vocabularySize: number;
  tokenizer?: Tokenizer['description'];
  template?: Pick<ChatTemplate, 'source' | 'tokens'> & { toolUse?: string };
}

export type ThreadAnswer = RecordChunk | { error: Error };

/** Its options, made anew; of what they are made nothing is held, as that is larger than the tokenizer. */
export function optionsOf({ loss, vocabularySize, tokenizer, template }: ThreadData): TokenOptions {
  return {
    ...{ loss, vocabularySize },
    tokenizer: tokenizer && { ...createTokenizer(tokenizer), description: { ...tokenizer, json: {}, mergeRanks: [] } },
    template: template && chatTemplate(template.source, template.tokens, 'The model', template.toolUse),
  };
}

/** A thread of the pool: rows in, records out, in order. What comes first is not given as the thread's data, which it would hold. */
parentPort?.once('message', (data: ThreadData) => {
  const { plan } = data;
  const options = optionsOf(data);
  parentPort!.on('message', (rows: (Row | BrokenRow)[]) => {
    try {
      const chunk = recordsOf(rows, plan, options);
      const given = [chunk.body.buffer, chunk.index.buffer, chunk.runs.buffer] as ArrayBuffer[];
      parentPort!.postMessage(chunk, given);
    } catch (error) {
      parentPort!.postMessage({ error });
    }
  });
});
