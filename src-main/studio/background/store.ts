import type { Job, JobResult } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';

interface Row {
  id: string;
  kind: Job['kind'];
  name: string;
  adapter_id: string | null;
  folders: string;
  state: Job['state'];
  message: string | null;
  result: string | null;
  owner: string;
  created_at: number;
  ended_at: number | null;
}

export interface NewJob {
  id: string;
  kind: Job['kind'];
  name: string;
  adapterId: string | null;
  /** what it makes, and nobody else; none where it leaves nothing but rows of the library */
  folders: string[];
}

/** Exports, imports and measurements of a library, those that have ended included. */
export class JobStore {
  constructor(private readonly library: Library) {}

  add({ id, kind, name, adapterId, folders }: NewJob, owner: string): void {
    this.library
      .prepare(
        `INSERT INTO jobs (id, kind, name, adapter_id, folders, state, owner, created_at)
         VALUES (?, ?, ?, ?, ?, 'running', ?, ?)`,
      )
      .run(id, kind, name, adapterId, JSON.stringify(folders), owner, Date.now());
  }

  end(id: string, state: Job['state'], message: string | null, result: JobResult | null): void {
    this.library
      .prepare('UPDATE jobs SET state = ?, message = ?, result = ?, ended_at = ? WHERE id = ?')
      .run(state, message, result && JSON.stringify(result), Date.now(), id);
  }

  /** Newest first. */
  list(): Job[] {
    return (this.library.prepare('SELECT * FROM jobs ORDER BY created_at DESC, id').all() as Row[]).map(jobOf);
  }

  /** @throws UserError when it isn't there */
  get(id: string): Job {
    const row = this.library.prepare('SELECT * FROM jobs WHERE id = ?').get(id) as Row | undefined;
    if (!row) throw new UserError('This job is no longer on the list. Reload it.');
    return jobOf(row);
  }

  /** Those that some studio is doing, or was when it ended. */
  running(): (Pick<Row, 'id' | 'owner' | 'created_at'> & { folders: string[] })[] {
    const rows = this.library
      .prepare(`SELECT id, folders, owner, created_at FROM jobs WHERE state = 'running'`)
      .all() as Row[];
    return rows.map((row) => ({ ...row, folders: JSON.parse(row.folders) as string[] }));
  }

  /** Whether a folder has become an adapter of the library: then it is no beginning. */
  isAdapter(folder: string): boolean {
    return this.library.prepare('SELECT 1 FROM adapters WHERE folder = ?').get(folder) !== undefined;
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM jobs WHERE id = ?').run(id);
  }
}

const jobOf = (row: Row): Job => ({
  id: row.id,
  kind: row.kind,
  name: row.name,
  adapterId: row.adapter_id,
  state: row.state,
  progress: null,
  message: row.message,
  result: row.result === null ? null : (JSON.parse(row.result) as JobResult),
  createdAt: row.created_at,
  endedAt: row.ended_at,
});
