import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Recipe, RunDetail, RunStatus, RunSummary } from '../../../src-preload/contract/index.ts';
import type { ProcessState } from '../../engine/process-identity.ts';
import { UserError } from '../../engine/types.ts';
import { nameOfModel } from '../library/model-names.ts';
import { DATA_CHANGED } from '../../trainer/run-datasets.ts';
import type { Library } from '../database/open.ts';

export interface RunRow {
  id: string;
  name: string;
  status: RunStatus;
  message: string | null;
  recipe: string;
  predicted: string | null;
  folder: string;
  step: number;
  steps: number;
  loss: number | null;
  eval_loss: number | null;
  seconds_left: number | null;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  queue_order: number | null;
  attempt: number;
  owner: string | null;
  heartbeat_at: number | null;
  trashed_at: number | null;
  /** when its adapter was last taken into the library */
  entered_at: number | null;
  /** of a running one: what it is about to do */
  asked: 'pause' | 'stop' | null;
  notes: string;
  /** JSON, a list of words */
  tags: string;
}

export type RunChange = Partial<Omit<RunRow, 'id' | 'recipe' | 'folder' | 'created_at'>>;

/** A run that no studio has beaten for in this long has lost its studio, milliseconds. */
export const STALE_MS = 15_000;

/** A change that the library's disk had no room for, of a run that `owner` runs. */
interface Unwritten {
  owner: string;
  change: RunChange;
  why: string;
}

/** The runs of a library. Every change is one statement, so that a kill leaves either the old row or the new one. */
export class RunStore {
  private readonly unwritten = new Map<string, Unwritten>();

  constructor(private readonly library: Library) {}

  add(run: {
    id: string;
    name: string;
    recipe: Recipe;
    predicted: RunDetail['predicted'];
    folder: string;
    hold: boolean;
  }) {
    const { steps } = run.recipe.training;
    this.library
      .prepare(
        `INSERT INTO runs (id, name, status, recipe, predicted, folder, steps, created_at, queue_order)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(queue_order), 0) + 1 FROM runs))`,
      )
      .run(
        run.id,
        run.name,
        run.hold ? 'paused' : 'queued',
        JSON.stringify(run.recipe),
        run.predicted && JSON.stringify(run.predicted),
        run.folder,
        steps ?? 0,
        Date.now(),
      );
    return this.row(run.id);
  }

  /** @throws UserError when there is no such run */
  row(id: string): RunRow {
    const row = this.library.prepare('SELECT * FROM runs WHERE id = ?').get(id) as RunRow | undefined;
    if (!row) throw new UserError(`There is no run "${id}" in this library. Reload the list of runs.`);
    return this.asItIs(row);
  }

  list(trashed: boolean): RunRow[] {
    const rows = this.library
      .prepare(`SELECT * FROM runs WHERE trashed_at IS ${trashed ? 'NOT NULL' : 'NULL'} ORDER BY created_at DESC`)
      .all() as RunRow[];
    return rows.map((row) => this.asItIs(row));
  }

  change(id: string, change: RunChange): RunRow {
    this.update(change, 'id = ?', id);
    return this.row(id);
  }

  /**
   * What has become of a run that `owner` runs; nothing where it is another's by now. Never throws: what the library can't
   * take, as its disk is full, is shown all the same, and written with the next change or by `writeAgain`.
   */
  settle(id: string, owner: string, change: RunChange): void {
    const all = { ...this.unwritten.get(id)?.change, ...change };
    try {
      this.update(all, 'id = ? AND owner = ?', id, owner);
      this.unwritten.delete(id);
    } catch (error) {
      this.unwritten.set(id, { owner, change: all, why: (error as Error).message });
    }
  }

  writeAgain(): void {
    for (const [id, { owner }] of this.unwritten) this.settle(id, owner, {});
  }

  private asItIs(row: RunRow): RunRow {
    const unwritten = this.unwritten.get(row.id);
    if (!unwritten) return row;
    const known = { ...row, ...unwritten.change };
    const why = `The library can't be written (${unwritten.why}): make room on its disk.`;
    return { ...known, message: known.message ? `${known.message} ${why}` : why };
  }

  private update(change: RunChange, where: string, ...ids: string[]): void {
    const keys = Object.keys(change) as (keyof RunChange)[];
    const assignments = keys.map((key) => `${key} = ?`).join(', ');
    this.library
      .prepare(`UPDATE runs SET ${assignments} WHERE ${where}`)
      .run(...keys.map((key) => change[key]), ...ids);
  }

  /**
   * Takes the next queued run for `owner`, unless any studio is running one. One transaction: two studios never take the
   * same run.
   */
  claimNext(owner: string, now = Date.now()): RunRow | undefined {
    const claimed = this.library
      .prepare(
        `UPDATE runs SET status = 'running', owner = ?, heartbeat_at = ?, attempt = attempt + 1, message = NULL, asked = NULL,
           started_at = coalesce(started_at, ?), ended_at = NULL
         WHERE id = (SELECT id FROM runs WHERE status = 'queued' AND trashed_at IS NULL ORDER BY queue_order LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM runs WHERE status = 'running')
         RETURNING id`,
      )
      .all(owner, now, now) as { id: string }[];
    return claimed[0] && this.row(claimed[0].id);
  }

  /**
   * Marks running runs whose studio is gone as interrupted. One that lives on this machine keeps its run however long it is
   * silent: it was suspended with the machine, or stands still. Of others nothing but their silence is known.
   */
  releaseLost(stateOf: (owner: string | null) => ProcessState, now = Date.now()): string[] {
    const running = this.library.prepare(`SELECT * FROM runs WHERE status = 'running'`).all() as RunRow[];
    const isLost = ({ id, owner, heartbeat_at }: RunRow) => {
      if (this.unwritten.has(id)) return false;
      const state = stateOf(owner);
      return state === 'gone' || (state === 'elsewhere' && now - (heartbeat_at ?? 0) > STALE_MS);
    };
    const lost = running.filter(isLost);
    for (const run of lost)
      this.change(run.id, {
        status: 'interrupted',
        ended_at: now,
        owner: null,
        asked: null,
        message: 'The studio ended while this run was going. Resume goes on from its last checkpoint.',
      });
    return lost.map((run) => run.id);
  }

  reorder(ids: string[]): void {
    const set = this.library.prepare(`UPDATE runs SET queue_order = ? WHERE id = ? AND status = 'queued'`);
    this.library.transaction(() => ids.forEach((id, index) => set.run(index + 1, id)))();
  }

  delete(id: string): void {
    this.library.prepare('DELETE FROM runs WHERE id = ?').run(id);
  }

  summary(row: RunRow): RunSummary {
    const recipe = JSON.parse(row.recipe) as Recipe;
    return {
      id: row.id,
      name: row.name,
      notes: row.notes,
      tags: JSON.parse(row.tags) as string[],
      status: row.status,
      asked: row.status === 'running' ? row.asked : null,
      message: row.message,
      model: nameOfModel(recipe.model),
      dataChanged: row.status === 'failed' && (row.message?.includes(DATA_CHANGED) ?? false),
      dataset: datasetName(recipe),
      method: recipe.method.name ?? 'effilora',
      step: row.step,
      steps: row.steps,
      loss: row.loss,
      evalLoss: row.eval_loss,
      secondsLeft: row.status === 'running' ? row.seconds_left : null,
      createdAt: row.created_at,
      startedAt: row.started_at,
      endedAt: row.ended_at,
      queuePosition: row.status === 'queued' ? this.queuePosition(row) : null,
      folder: row.folder,
      missing: row.attempt > 0 && !existsSync(row.folder),
    };
  }

  summaries(): { runs: RunSummary[]; trashed: RunSummary[] } {
    const summaries = (trashed: boolean) => this.list(trashed).map((row) => this.summary(row));
    return { runs: summaries(false), trashed: summaries(true) };
  }

  private queuePosition(row: RunRow): number {
    const before = this.library
      .prepare(`SELECT count(*) AS n FROM runs WHERE status = 'queued' AND trashed_at IS NULL AND queue_order <= ?`)
      .get(row.queue_order) as { n: number };
    return before.n;
  }
}

function datasetName({ dataset }: Recipe): string {
  const paths = typeof dataset === 'string' ? [dataset] : dataset.map((part) => part.path);
  return paths.map((path) => basename(path)).join(' + ');
}
