import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { stringify } from 'yaml';
import type { Recipe, RunDetail, RunSummary } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import { writeAtomic } from '../../trainer/atomic.ts';
import { nameOfOwner, newOwner, stateOfOwner } from '../owner.ts';
import { within } from '../within.ts';
import { parseLines, readLines } from './files.ts';
import type { RunChange, RunRow, RunStore } from './store.ts';
import type { TrainerEnd, TrainerHandle, TrainerPort } from './trainer-port.ts';

/** How often the queue looks at its run's metrics and at what other studios do, milliseconds. */
const TICK_MS = 500;
const HEARTBEAT_MS = 4_000;
/** So long a closing studio waits for its run's checkpoint, milliseconds. */
const QUIT_MS = 8_000;

interface Running {
  id: string;
  handle: TrainerHandle;
  /** bytes of metrics.jsonl seen */
  read: number;
  beatAt: number;
  /** what the user asked for last; the end of the process is judged by it */
  asked: 'pause' | 'stop' | 'close' | undefined;
  /** resolves when the row says how it ended; never rejects */
  finished: Promise<void>;
}

/** Makes the last checkpoint in a run's folder its result. @throws UserError when there is none */
type Keep = (folder: string) => Promise<{ step: number }>;

/** Runs one training at a time, in order, and keeps the library's rows true. Emits `change` after every change of a run. */
export class RunQueue extends EventEmitter<{ change: []; ended: [RunSummary] }> {
  private readonly owner = newOwner();
  private running: Running | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** the share of frozen heads that was asked for last, by run */
  private readonly ratios = new Map<string, number>();
  private ticking: Promise<void> = Promise.resolve();
  private isClosing = false;

  constructor(
    private readonly runs: RunStore,
    private readonly trainer: TrainerPort,
    private readonly runsFolder: string,
    private readonly keep: Keep,
  ) {
    super();
    this.setMaxListeners(0);
  }

  start(): void {
    this.timer = setInterval(() => this.wake(), TICK_MS);
    this.wake();
  }

  /** Of the running training. */
  get trainerProcessId(): number | undefined {
    return this.running?.handle.processId;
  }

  /** Lets a running training write its checkpoint and waits for it, a while: then it goes on with that by itself, if it can. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.isClosing = true;
    const { running } = this;
    if (!running) return void (await within(this.ticking, QUIT_MS));
    running.asked = 'close';
    running.handle.pause();
    if (await within(running.finished, QUIT_MS)) return;
    running.handle.leave();
    this.running = undefined;
    this.settleEnd(running, {
      status: 'interrupted',
      message: 'The studio was closed before this run had written its checkpoint. Resume goes on from the last one.',
    });
  }

  async create(input: {
    name: string;
    recipe: Recipe;
    predicted: RunDetail['predicted'];
    hold: boolean;
  }): Promise<RunRow> {
    const id = randomUUID();
    const folder = join(this.runsFolder, id);
    try {
      await mkdir(folder, { recursive: true });
      await writeAtomic(join(folder, 'recipe.yaml'), stringify(input.recipe));
      const row = this.runs.add({ id, folder, ...input });
      this.changed();
      return row;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  pause(id: string): RunRow {
    const row = this.runs.row(id);
    if (row.status === 'queued') return this.change(id, { status: 'paused' });
    return this.ask(this.mine(row), 'pause');
  }

  /** One that isn't running ends with the adapter of its last checkpoint. */
  async stop(id: string): Promise<RunRow> {
    const row = this.runs.row(id);
    if (row.status === 'queued' && row.attempt === 0)
      return this.change(id, { status: 'stopped', ended_at: Date.now() });
    if (row.status === 'running') return this.ask(this.mine(row), 'stop');
    if (row.status === 'finished' || row.status === 'stopped') return row;
    const { step } = await this.keep(row.folder);
    const kept = this.change(id, { status: 'stopped', ended_at: Date.now(), step, message: keptAt(step) });
    this.emit('ended', this.runs.summary(kept));
    return kept;
  }

  /** Ends a running one at once. */
  end(id: string): RunRow {
    const running = this.mine(this.runs.row(id));
    running.asked ??= 'pause';
    running.handle.kill();
    return this.runs.row(id);
  }

  setRatio(id: string, ratio: number): RunRow {
    const row = this.runs.row(id);
    this.mine(row).handle.setRatio(ratio);
    this.ratios.set(id, ratio);
    return row;
  }

  /** The share of frozen heads that a run was last asked for, else its recipe's; undefined where it freezes none. */
  ratio(id: string): number | undefined {
    const { method } = JSON.parse(this.runs.row(id).recipe) as Recipe;
    return this.ratios.get(id) ?? method.reducer?.ratio;
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

  private ask(running: Running, what: 'pause' | 'stop'): RunRow {
    running.asked = what;
    this.runs.settle(running.id, this.owner, { asked: what });
    running.handle[what]();
    this.emit('change');
    return this.runs.row(running.id);
  }

  /** @throws UserError when the run isn't going, or goes in another studio */
  private mine(row: RunRow): Running {
    if (this.running?.id === row.id) return this.running;
    throw new UserError(
      row.status === 'running'
        ? `"${row.name}" is run by another studio on this library (${nameOfOwner(row.owner)}). Use that one.`
        : `"${row.name}" isn't running (it is ${row.status}).`,
    );
  }

  private wake(): void {
    this.ticking = this.ticking.then(() => this.tick()).catch((error: unknown) => console.error(error));
  }

  private async tick(): Promise<void> {
    this.runs.writeAgain();
    if (this.running) return this.follow(this.running);
    if (this.isClosing) return;
    // Its own run may just be coming to its end.
    const stateOf = (owner: string | null) => (owner === this.owner ? ('alive' as const) : stateOfOwner(owner));
    if (this.runs.releaseLost(stateOf).length > 0) this.emit('change');
    const row = this.runs.claimNext(this.owner);
    if (!row) return;
    this.launch(row);
    this.emit('change');
  }

  private launch({ id, folder, attempt }: RunRow): void {
    try {
      const onState = (message: string) => {
        this.runs.settle(id, this.owner, { message: message || null });
        this.emit('change');
      };
      const handle = this.trainer.start(folder, { resume: attempt > 1, onState });
      const running: Running = {
        ...{ id, handle, read: 0, beatAt: Date.now(), asked: undefined },
        finished: handle.ended.then((end) => this.finish(running, end)).catch((error: unknown) => console.error(error)),
      };
      this.running = running;
    } catch (error) {
      // No process could be started: too many, or no memory.
      this.settleEnd(
        { id },
        { status: 'failed', message: `The trainer could not be started: ${(error as Error).message}` },
      );
    }
  }

  /** Brings the row up to what the trainer wrote. */
  private async follow(running: Running): Promise<void> {
    const row = this.runs.row(running.id);
    if (row.owner !== this.owner) this.giveUp(running);
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
    this.runs.settle(running.id, this.owner, change);
    if (text) this.emit('change');
  }

  /** Another studio has taken this one for gone while its machine slept: the run is that one's to resume. */
  private giveUp(running: Running): void {
    if (running.asked === 'close') return;
    running.asked = 'close';
    running.handle.pause();
  }

  private async finish(running: Running, end: TrainerEnd): Promise<void> {
    await this.ticking;
    // A studio that closed meanwhile has said what it knew.
    if (this.running !== running) return;
    await this.follow(running).catch(() => undefined);
    this.running = undefined;
    this.settleEnd(running, await this.endStatus(running, end));
    if (!this.isClosing) this.changed();
    this.emit('ended', this.runs.summary(this.runs.row(running.id)));
  }

  private settleEnd({ id }: Pick<Running, 'id'>, change: RunChange): void {
    const ended = { asked: null, owner: null, seconds_left: null, ended_at: Date.now() };
    this.runs.settle(id, this.owner, { ...change, ...ended });
  }

  private async endStatus({ id, asked }: Running, { outcome, message }: TrainerEnd): Promise<RunChange> {
    if (asked === 'close' && outcome !== 'finished')
      return { status: 'interrupted', message: 'The studio was closed. Resume goes on from here.' };
    if (outcome !== 'failed') return { status: outcome, message };
    // A trainer that dies while it was asked to pause leaves its last checkpoint: that is a pause all the same.
    if (asked === 'pause') return { status: 'paused', message };
    if (asked !== 'stop') return { status: 'failed', message };
    try {
      const { step } = await this.keep(this.runs.row(id).folder);
      return { status: 'stopped', step, message: `${message ?? ''} ${keptAt(step)}`.trim() };
    } catch {
      return { status: 'interrupted', message };
    }
  }
}

const keptAt = (step: number) => `Its adapter is that of step ${step}, its last checkpoint.`;
