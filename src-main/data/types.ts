import type { ChatMessage } from '../models/types.ts';

/** How the columns of a dataset are read. */
export const EXAMPLE_FORMATS = ['instruction', 'completion', 'chat', 'text', 'tokens'] as const;
export type ExampleFormat = (typeof EXAMPLE_FORMATS)[number];

/** One raw row of a file, with the place it came from for messages. */
export interface Row {
  /** 1-based row (line for JSONL and text, record for the others) */
  row: number;
  fields: Record<string, unknown>;
}

/** An example after reading its columns, before the chat template. */
export type Example =
  | {
      kind: 'chat';
      row: number;
      messages: ChatMessage[];
      /** descriptions of the tools that may be called, and of documents to answer from, as templates take them */
      tools?: unknown[];
      documents?: unknown[];
      answer?: string;
      options?: string[];
      /** of several people to the same question */
      answers?: string[];
    }
  | {
      kind: 'completion';
      row: number;
      prompt: string;
      completion: string;
      answer?: string;
      options?: string[];
      answers?: string[];
    }
  | { kind: 'text'; row: number; text: string }
  | { kind: 'tokens'; row: number; inputIds: number[]; labels?: number[] };

/** An example as the model sees it. `labels[i]` is `inputIds[i]` where the token carries loss, else -100 (not shifted). */
export interface TokenizedExample {
  row: number;
  /** index of the dataset in the mix */
  source: number;
  inputIds: Int32Array;
  labels: Int32Array;
  truncated: boolean;
}

/** What became of a dataset's rows. */
export interface DataReport {
  /** rows */
  examples: number;
  /** rows that are learned from */
  kept: number;
  /** examples to learn from: more than rows kept where long ones are cut into parts */
  parts: number;
  truncated: number;
  dropped: { reason: string; rows: number[] }[];
  /** percentiles of token length over the examples to learn from */
  tokenLength: { p5: number; p50: number; p95: number; p99: number; max: number; mean: number };
  tokens: number;
  lossTokens: number;
  /** lossTokens / tokens */
  lossShare: number;
}
