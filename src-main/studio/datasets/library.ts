import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DatasetEntry, MixPart } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';
import { folderSize } from '../machine.ts';

/** How a dataset's columns are read. */
export type Reading = Pick<MixPart, 'format' | 'mapping' | 'sheet' | 'config'>;

interface DatasetRow {
  id: string;
  name: string;
  path: string;
  bytes: number;
  added_at: number;
  /** JSON of a Reading */
  reading: string;
  /** 1: a table in the studio's own folder */
  own: number;
}

/** Datasets that come with the studio. */
export interface ExampleFolder {
  folder: string;
  /** what its training data is called; default: as its file */
  title?: string;
}

/** The datasets a user added, and the examples that come with the studio. */
export class DatasetLibrary {
  constructor(
    private readonly library: Library,
    private readonly examplesFolders: ExampleFolder[],
    /** the studio's own tables */
    private readonly tablesFolder: string,
  ) {}

  async list(): Promise<DatasetEntry[]> {
    const rows = this.library.prepare('SELECT * FROM datasets ORDER BY added_at DESC').all() as DatasetRow[];
    return [...(await this.examples()), ...rows.map(entryOf)];
  }

  /** @throws UserError when it isn't there any more */
  async get(id: string): Promise<DatasetEntry> {
    const found = (await this.list()).find((one) => one.id === id);
    if (!found) throw new UserError('This dataset was removed from the library. Add its file again.');
    return found;
  }

  /** How the dataset at `path` is read, where it stands in the library. */
  readingOf(path: string): Reading {
    const row = this.library.prepare('SELECT reading FROM datasets WHERE path = ?').get(path) as
      { reading: string } | undefined;
    return row ? (JSON.parse(row.reading) as Reading) : {};
  }

  /** Of a file or folder that can be read as a dataset. `own`: a table of the studio's own, whose rows can be changed. */
  async add(path: string, { name = basename(path), own = false, reading = {} as Reading } = {}): Promise<DatasetEntry> {
    const found = await stat(path);
    const { bytes } = found.isDirectory() ? await folderSize(path) : { bytes: found.size };
    this.library
      .prepare(
        `INSERT INTO datasets (id, name, path, bytes, added_at, reading, own) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, added_at = excluded.added_at,
           reading = CASE WHEN excluded.reading ->> 'config' IS NULL THEN reading ELSE excluded.reading END`,
      )
      .run(randomUUID(), name, path, bytes, Date.now(), JSON.stringify(reading), Number(own));
    return entryOf(this.library.prepare('SELECT * FROM datasets WHERE path = ?').get(path) as DatasetRow);
  }

  change(id: string, change: { name?: string; bytes?: number; reading?: Reading }): void {
    const row = this.library.prepare('SELECT * FROM datasets WHERE id = ?').get(id) as DatasetRow | undefined;
    if (!row) throw new UserError('What belongs to the examples can’t be changed. Make a copy of your own first.');
    const { name = row.name, bytes = row.bytes } = change;
    const reading = change.reading ? JSON.stringify(change.reading) : row.reading;
    this.library
      .prepare('UPDATE datasets SET name = ?, bytes = ?, reading = ? WHERE id = ?')
      .run(name, bytes, reading, id);
  }

  /** Where a new table of the studio's own is to lie. */
  newTable(): string {
    return join(this.tablesFolder, `${randomUUID()}.jsonl`);
  }

  /** Where a new folder of the studio's own is to lie, that is called by a name. */
  newFolder(name: string): string {
    return join(this.tablesFolder, randomUUID(), name);
  }

  /** Where it is remembered how to take changes of a folder's captions back. */
  captionsUndo(path: string): string {
    return join(this.tablesFolder, `${createHash('sha256').update(path).digest('hex').slice(0, 32)}.captions`);
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM datasets WHERE id = ?').run(id);
  }

  private async examples(): Promise<DatasetEntry[]> {
    return (await Promise.all(this.examplesFolders.map(examplesIn))).flat();
  }
}

async function examplesIn({ folder, title }: ExampleFolder): Promise<DatasetEntry[]> {
  const names = await readdir(folder).catch(() => []);
  const isDataset = (name: string) =>
    /\.(jsonl|csv|parquet)$/.test(name) || existsSync(join(folder, name, 'metadata.jsonl'));
  // What is held out for judging is no training data.
  const wanted = names.filter((name) => isDataset(name) && !/^held-out/.test(name)).sort();
  return Promise.all(
    wanted.map(async (name) => {
      const path = join(folder, name);
      const found = await stat(path);
      return {
        id: `example:${name}`,
        name: `Example: ${title ?? name.replace(/\.[a-z]+$/, '').replaceAll('-', ' ')}`,
        path,
        origin: 'example' as const,
        bytes: found.isDirectory() ? (await folderSize(path)).bytes : found.size,
        description: 'Comes with the studio',
        state: 'ready' as const,
        own: false,
      };
    }),
  );
}

function entryOf({ id, name, path, bytes, reading, own }: DatasetRow): DatasetEntry {
  const state = existsSync(path) ? 'ready' : 'missing';
  return { id, name, path, origin: 'library', bytes, state, own: own === 1, ...(JSON.parse(reading) as Reading) };
}
