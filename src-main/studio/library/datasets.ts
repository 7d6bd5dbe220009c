import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DatasetEntry } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';

interface DatasetRow {
  id: string;
  name: string;
  path: string;
  bytes: number;
  added_at: number;
}

/** The datasets a user added, and the examples that come with the studio. */
export class DatasetLibrary {
  constructor(
    private readonly library: Library,
    private readonly examplesFolder: string,
  ) {}

  async list(): Promise<DatasetEntry[]> {
    const rows = this.library.prepare('SELECT * FROM datasets ORDER BY added_at DESC').all() as DatasetRow[];
    return [...(await this.examples()), ...rows.map(entryOf)];
  }

  async add(path: string): Promise<DatasetEntry> {
    const found = await stat(path);
    if (found.isDirectory()) throw new UserError(`${path} is a folder. Choose a file of rows.`);
    this.library
      .prepare(
        `INSERT INTO datasets (id, name, path, bytes, added_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, added_at = excluded.added_at`,
      )
      .run(randomUUID(), basename(path), path, found.size, Date.now());
    return entryOf(this.library.prepare('SELECT * FROM datasets WHERE path = ?').get(path) as DatasetRow);
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM datasets WHERE id = ?').run(id);
  }

  private async examples(): Promise<DatasetEntry[]> {
    const names = await readdir(this.examplesFolder).catch(() => []);
    // What is held out for judging is no training data.
    const wanted = names.filter((name) => /\.(jsonl|csv|parquet)$/.test(name) && !/^held-out/.test(name)).sort();
    return Promise.all(
      wanted.map(async (name) => {
        const path = join(this.examplesFolder, name);
        const { size } = await stat(path);
        const title = `Example: ${name.replace(/\.[a-z]+$/, '').replaceAll('-', ' ')}`;
        return {
          id: `example:${name}`,
          name: title,
          path,
          origin: 'example' as const,
          bytes: size,
          description: 'Comes with the studio',
          state: 'ready' as const,
        };
      }),
    );
  }
}

function entryOf(row: DatasetRow): DatasetEntry {
  const state = existsSync(row.path) ? 'ready' : 'missing';
  return { id: row.id, name: row.name, path: row.path, origin: 'library', bytes: row.bytes, state };
}
