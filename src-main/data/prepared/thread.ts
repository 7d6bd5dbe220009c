import { parentPort, workerData } from 'node:worker_threads';
import { chatTemplate } from '../../models/chat-template.ts';
import { createTokenizer } from '../../models/tokenizer/tokenizer.ts';
import type { ChatTemplate, Tokenizer } from '../../models/types.ts';
import type { ColumnPlan } from '../columns.ts';
import type { BrokenRow } from '../formats/rows.ts';
import type { TokenOptions } from '../prepare.ts';
import type { Row } from '../types.ts';
import { recordsOf, type RecordChunk } from './records.ts';

/** What a thread is started with. */
export interface ThreadData {
  plan: ColumnPlan;
  loss: TokenOptions['loss'];
  vocabularySize: number;
  tokenizer?: Tokenizer['description'];
  template?: Pick<ChatTemplate, 'source' | 'tokens'> & { toolUse?: string };
}

export type ThreadAnswer = RecordChunk | { error: Error };

/** A thread of the pool: rows in, records out, in order. */
const { plan, loss, vocabularySize, tokenizer, template } = workerData as ThreadData;
const options: TokenOptions = {
  ...{ loss, vocabularySize },
  tokenizer: tokenizer && createTokenizer(tokenizer),
  template: template && chatTemplate(template.source, template.tokens, 'The model', template.toolUse),
};

parentPort!.on('message', (rows: (Row | BrokenRow)[]) => {
  try {
    const chunk = recordsOf(rows, plan, options);
    const given = [chunk.body.buffer, chunk.index.buffer, chunk.runs.buffer] as ArrayBuffer[];
    parentPort!.postMessage(chunk, given);
  } catch (error) {
    parentPort!.postMessage({ error });
  }
});
