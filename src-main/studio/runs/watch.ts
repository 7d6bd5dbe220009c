import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { MetricsRecord, RunEvent, RunPosition, SampleRecord } from '../../../src-preload/contract/index.ts';
import { firstRecord, packHeads, parseLines, readLines, sortedHeads } from './files.ts';
import type { RunRow, RunStore } from './store.ts';

/** How often the files are looked at, milliseconds: what the trainer wrote meanwhile goes out as one event. */
const POLL_MS = 200;
/** Frames of heads in one event: keeps a message below some megabytes for large models. */
const FRAMES_AN_EVENT = 64;

const START_FILE = 'start.json';
const BLOCKS_FILE = 'blocks.json';
const FILES = {
  metrics: 'metrics.jsonl',
  heads: 'heads.jsonl',
  samples: 'samples.jsonl',
  log: 'trainer.log',
};
const FILE_KEYS = ['metrics', 'heads', 'samples', 'log'] as const;

const START: Omit<RunPosition, 'attempt'> = { metrics: 0, heads: 0, samples: 0, log: 0 };

/**
 * A run's files as events: everything since `from`, then whatever is written, until `signal`.
 * Positions are byte offsets, so that a view which lost its connection takes up exactly where it was. A new start of the
 * trainer may cut the files back to a checkpoint; then `reset` comes first and everything again.
 */
export async function* watchRun(
  runs: RunStore,
  id: string,
  from: RunPosition | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent> {
  const reader = new RunReader(runs.row(id), from);
  let shown = '';
  let current = false;
  while (!signal?.aborted) {
    const row = runs.row(id);
    const summary = runs.summary(row);
    const state = JSON.stringify(summary);
    if (state !== shown) yield { kind: 'status', run: summary };
    shown = state;
    let any = false;
    for await (const event of reader.read(row)) {
      any = true;
      yield event;
    }
    if (any) continue;
    if (!current) yield { kind: 'current' };
    current = true;
    await wait(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}

class RunReader {
  private position: RunPosition;
  private names: string[] | undefined;
  private sentNames = false;
  private sentStart = false;

  constructor(row: RunRow, from: RunPosition | undefined) {
    this.position = from ?? { attempt: row.attempt, ...START };
  }

  /** What the files hold beyond the position, in one pass. */
  async *read(row: RunRow): AsyncGenerator<RunEvent> {
    if (this.position.attempt !== row.attempt || (await this.shrunk(row))) yield this.reset(row);
    yield* this.start(row);
    const metrics = parseLines(await this.lines(row, 'metrics'));
    const records = metrics.filter((record) => typeof record['step'] === 'number') as MetricsRecord[];
    if (records.length > 0) yield { kind: 'metrics', records, position: { ...this.position } };
    yield* this.heads(row);
    const samples = parseLines(await this.lines(row, 'samples')) as SampleRecord[];
    if (samples.length > 0) yield { kind: 'samples', records: samples, position: { ...this.position } };
    const log = await this.lines(row, 'log');
    if (log) yield { kind: 'log', text: log, position: { ...this.position } };
  }

  /** What was measured before the first step; a view that has it takes no second one. */
  private async *start(row: RunRow): AsyncGenerator<RunEvent> {
    if (this.sentStart) return;
    const record = await firstRecord(join(row.folder, START_FILE));
    if (!record) return;
    this.sentStart = true;
    yield { kind: 'metrics', records: [record as MetricsRecord], position: { ...this.position } };
  }

  private async *heads(row: RunRow): AsyncGenerator<RunEvent> {
    if (!this.names) {
      const first = await firstRecord(join(row.folder, FILES.heads));
      if (!first) return;
      this.names = sortedHeads(Object.keys((first['importance'] ?? {}) as object));
    }
    if (!this.sentNames) yield { kind: 'names', names: this.names, blocks: await blockNames(row.folder) };
    this.sentNames = true;
    const { names } = this;
    const before = this.position.heads;
    const records = parseLines(await this.lines(row, 'heads'));
    for (let at = 0; at < records.length; at += FRAMES_AN_EVENT) {
      const frames = records.slice(at, at + FRAMES_AN_EVENT).map((record) => packHeads(record, names));
      // Where a frame ends inside the chunk isn't known: only the chunk's last event moves the position on.
      const last = at + FRAMES_AN_EVENT >= records.length;
      yield { kind: 'heads', frames, position: { ...this.position, heads: last ? this.position.heads : before } };
    }
  }

  /** Whether a file was cut back behind what has been read of it. */
  private async shrunk(row: RunRow): Promise<boolean> {
    for (const key of FILE_KEYS) {
      const size = await stat(join(row.folder, FILES[key])).then(
        (found) => found.size,
        () => 0,
      );
      if (size < this.position[key]) return true;
    }
    return false;
  }

  private async lines(row: RunRow, key: keyof typeof FILES): Promise<string> {
    const { text, end } = await readLines(join(row.folder, FILES[key]), this.position[key]);
    this.position = { ...this.position, [key]: end };
    return text;
  }

  private reset(row: RunRow): RunEvent {
    this.position = { attempt: row.attempt, ...START };
    this.names = undefined;
    this.sentNames = false;
    this.sentStart = false;
    return { kind: 'reset', position: { ...this.position } };
  }
}

async function blockNames(folder: string): Promise<string[] | undefined> {
  const names = (await firstRecord(join(folder, BLOCKS_FILE)))?.['names'];
  return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
}
