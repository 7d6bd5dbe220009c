import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import { UserError } from '../../engine/types.ts';
import { MIGRATIONS } from './migrations.ts';

export type Library = Database.Database;

/** How long a writer waits for another studio's transaction, milliseconds. */
const BUSY_MS = 5_000;

/**
 * Opens (or makes) the library at `path` and brings its schema up to date.
 * Write-ahead log, so that a killed studio loses nothing that was committed and two studios can share one file.
 * @throws UserError when the file is no library or was made by a newer version
 */
export function openLibrary(path: string): Library {
  mkdirSync(dirname(path), { recursive: true });
  let library: Library | undefined;
  try {
    library = new Database(path);
    library.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    library.exec('PRAGMA journal_mode = WAL');
    library.exec('PRAGMA synchronous = NORMAL');
    library.exec('PRAGMA foreign_keys = ON');
    migrate(library, path);
    return library;
  } catch (error) {
    library?.close();
    if (error instanceof UserError) throw error;
    throw new UserError(
      `The library ${path} can't be opened: ${error instanceof Error ? error.message : String(error)}. ` +
        'Move the file aside to start with an empty library, or restore it from a backup.',
    );
  }
}

export function schemaVersion(library: Library): number {
  return (library.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}

function migrate(library: Library, path: string): void {
  library.exec('BEGIN IMMEDIATE');
  try {
    const version = schemaVersion(library);
    if (version > MIGRATIONS.length)
      throw new UserError(
        `The library ${path} was made by a newer studio (schema ${version}, this one knows ${MIGRATIONS.length}). Update the studio.`,
      );
    for (const step of MIGRATIONS.slice(version)) library.exec(step);
    if (version < MIGRATIONS.length) library.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    library.exec('COMMIT');
  } catch (error) {
    library.exec('ROLLBACK');
    throw error;
  }
}
