import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Recipe, RunDetail, RunStatus, RunSummary } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
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
}

export type RunChange = Partial<Omit<RunRow, 'id' | 'recipe' | 'folder' | 'created_at'>>;

/** A run that no studio has beaten for in this long has lost its studio, milliseconds. */
export const STALE_MS = 15_000;

/** The runs of a library. Every change is one statement, so that a kill leaves either the old row or the new one. */
export class RunStore {
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
    return row;
  }

  list(trashed: boolean): RunRow[] {
    return this.library
      .prepare(`SELECT * FROM runs WHERE trashed_at IS ${trashed ? 'NOT NULL' : 'NULL'} ORDER BY created_at DESC`)
      .all() as RunRow[];
  }

  change(id: string, change: RunChange): RunRow {
    const keys = Object.keys(change) as (keyof RunChange)[];
    const assignments = keys.map((key) => `${key} = ?`).join(', ');
    this.library.prepare(`UPDATE runs SET ${assignments} WHERE id = ?`).run(...keys.map((key) => change[key]), id);
    return this.row(id);
  }

  /**
   * Takes the next queued run for `owner`, unless any studio is running one. One transaction: two studios never take the
   * same run.
   */
  claimNext(owner: string, now = Date.now()): RunRow | undefined {
    const claimed = this.library
      .prepare(
        `UPDATE runs SET status = 'running', owner = ?, heartbeat_at = ?, attempt = attempt + 1, message = NULL,
           started_at = coalesce(started_at, ?), ended_at = NULL
         WHERE id = (SELECT id FROM runs WHERE status = 'queued' AND trashed_at IS NULL ORDER BY queue_order LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM runs WHERE status = 'running')
         RETURNING id`,
      )
      .all(owner, now, now) as { id: string }[];
    return claimed[0] && this.row(claimed[0].id);
  }

  /** Marks running runs whose studio is gone as interrupted; `gone` tells whether an owner is known to be dead. */
  releaseLost(gone: (owner: string) => boolean, now = Date.now()): string[] {
    const running = this.library.prepare(`SELECT * FROM runs WHERE status = 'running'`).all() as RunRow[];
    const lost = running.filter((run) => now - (run.heartbeat_at ?? 0) > STALE_MS || gone(run.owner ?? ''));
    for (const run of lost)
      this.change(run.id, {
        status: 'interrupted',
        ended_at: now,
        owner: null,
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
      status: row.status,
      message: row.message,
      model: basename(recipe.model),
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
