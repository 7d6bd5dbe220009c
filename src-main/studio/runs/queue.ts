import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { stringify } from 'yaml';
import type { Recipe, RunDetail, RunSummary } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import { parseLines, readLines } from './files.ts';
import type { RunChange, RunRow, RunStore } from './store.ts';
import type { TrainerEnd, TrainerHandle, TrainerPort } from './trainer-port.ts';

/** How often the queue looks at its run's metrics and at what other studios do, milliseconds. */
const TICK_MS = 500;
const HEARTBEAT_MS = 4_000;

interface Running {
  id: string;
  handle: TrainerHandle;
  /** bytes of metrics.jsonl seen */
  read: number;
  beatAt: number;
  /** what the user asked for last; the end of the process is judged by it */
  asked: 'pause' | 'stop' | 'close' | undefined;
  /** resolves when the row says how it ended */
  finished: Promise<void>;
}

/** Runs one training at a time, in order, and keeps the library's rows true. Emits `change` after every change of a run. */
export class RunQueue extends EventEmitter<{ change: []; ended: [RunSummary] }> {
  private readonly owner = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  private running: Running | undefined;
  private timer: NodeJS.Timeout | undefined;
  private ticking: Promise<void> = Promise.resolve();

  constructor(
    private readonly runs: RunStore,
    private readonly trainer: TrainerPort,
    private readonly runsFolder: string,
  ) {
    super();
    this.setMaxListeners(0);
  }

  start(): void {
    this.timer = setInterval(() => this.wake(), TICK_MS);
    this.wake();
  }

  /** Lets a running training write its checkpoint and waits for it. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.ticking;
    const { running } = this;
    if (!running) return;
    running.asked = 'close';
    running.handle.pause();
    await running.finished;
  }

  async create(input: {
    name: string;
    recipe: Recipe;
    predicted: RunDetail['predicted'];
    hold: boolean;
  }): Promise<RunRow> {
    const id = randomUUID();
    const folder = join(this.runsFolder, id);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'recipe.yaml'), stringify(input.recipe));
    const row = this.runs.add({ id, folder, ...input });
    this.changed();
    return row;
  }

  pause(id: string): RunRow {
    const row = this.runs.row(id);
    if (row.status === 'queued') return this.change(id, { status: 'paused' });
    this.mine(row).asked = 'pause';
    this.running?.handle.pause();
    return row;
  }

  stop(id: string): RunRow {
    const row = this.runs.row(id);
    if (row.status === 'queued') return this.change(id, { status: 'stopped', ended_at: Date.now() });
    this.mine(row).asked = 'stop';
    this.running?.handle.stop();
    return row;
  }

  setRatio(id: string, ratio: number): RunRow {
    const row = this.runs.row(id);
    this.mine(row).handle.setRatio(ratio);
    return row;
  }

  resume(id: string): RunRow {
    const row = this.runs.row(id);
    if (row.status === 'running' || row.status === 'queued') return row;
    if (row.status === 'finished')
      throw new UserError(
        `"${row.name}" has finished: there is nothing left to resume. Duplicate it to train further.`,
      );
    if (!existsSync(row.folder))
      throw new UserError(`The folder of "${row.name}" is gone (${row.folder}). Put it back, or duplicate the run.`);
    return this.change(id, { status: 'queued', message: null, ended_at: null });
  }

  async purge(id: string): Promise<void> {
    const row = this.runs.row(id);
    if (row.trashed_at === null) throw new UserError(`"${row.name}" is not in the trash. Delete it first.`);
    await rm(row.folder, { recursive: true, force: true });
    this.runs.delete(id);
    this.changed();
  }

  change(id: string, change: RunChange): RunRow {
    const row = this.runs.change(id, change);
    this.changed();
    return row;
  }

  /** Tells listeners, and looks whether something can start. */
  changed(): void {
    this.emit('change');
    this.wake();
  }

  /** @throws UserError when the run isn't going, or goes in another studio */
  private mine(row: RunRow): Running {
    if (this.running?.id === row.id) return this.running;
    throw new UserError(
      row.status === 'running'
        ? `"${row.name}" is run by another studio on this library (${row.owner}). Use that one.`
        : `"${row.name}" isn't running (it is ${row.status}).`,
    );
  }

  private wake(): void {
    this.ticking = this.ticking.then(() => this.tick()).catch((error: unknown) => console.error(error));
  }

  private async tick(): Promise<void> {
    if (this.running) return this.follow(this.running);
    if (this.runs.releaseLost(deadOwner).length > 0) this.emit('change');
    const row = this.runs.claimNext(this.owner);
    if (!row) return;
    const handle = this.trainer.start(row.folder, { resume: row.attempt > 1 });
    const running: Running = {
      id: row.id,
      handle,
      read: 0,
      beatAt: Date.now(),
      asked: undefined,
      finished: handle.ended.then((end) => this.finish(running, end)),
    };
    this.running = running;
    this.emit('change');
  }

  /** Brings the row up to what the trainer wrote. */
  private async follow(running: Running): Promise<void> {
    const row = this.runs.row(running.id);
    const { text, end } = await readLines(join(row.folder, 'metrics.jsonl'), running.read);
    running.read = end;
    const change: RunChange = {};
    for (const record of parseLines(text)) {
      if (typeof record['step'] === 'number') change.step = record['step'];
      if (typeof record['loss'] === 'number') change.loss = record['loss'];
      if (typeof record['evalLoss'] === 'number') change.eval_loss = record['evalLoss'];
      if (typeof record['secondsLeft'] === 'number') change.seconds_left = record['secondsLeft'];
    }
    if (Date.now() - running.beatAt > HEARTBEAT_MS) {
      running.beatAt = Date.now();
      change.heartbeat_at = running.beatAt;
    }
    if (Object.keys(change).length === 0) return;
    this.runs.change(running.id, change);
    if (text) this.emit('change');
  }

  private async finish(running: Running, end: TrainerEnd): Promise<void> {
    await this.ticking;
    await this.follow(running).catch(() => undefined);
    this.running = undefined;
    const row = this.runs.change(running.id, {
      ...endStatus(running.asked, end),
      owner: null,
      seconds_left: null,
      ended_at: Date.now(),
    });
    if (running.asked !== 'close') this.changed();
    this.emit('ended', this.runs.summary(row));
  }
}

function endStatus(asked: Running['asked'], end: TrainerEnd): Pick<RunChange, 'status' | 'message'> {
  const { outcome, message } = end;
  if (asked === 'close' && outcome !== 'finished')
    return { status: 'interrupted', message: 'The studio was closed. Resume goes on from here.' };
  // A trainer that dies while it was asked to pause leaves its last checkpoint: that is a pause all the same.
  if (asked === 'pause' && outcome === 'failed') return { status: 'paused', message };
  return { status: outcome, message };
}

/** An owner `<host>:<process>:<id>` on this machine whose process is gone. */
function deadOwner(owner: string): boolean {
  const [host, processId] = owner.split(':');
  if (host !== hostname() || !processId) return false;
  try {
    process.kill(Number(processId), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
