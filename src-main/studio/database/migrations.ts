/**
 * The library's schema as it grew. An entry is never edited once it has shipped: `PRAGMA user_version` counts how many
 * of them a file has behind it. Times are milliseconds since 1970.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE models (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL UNIQUE, format TEXT NOT NULL,
     bytes INTEGER NOT NULL, summary TEXT NOT NULL, added_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE datasets (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, added_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE runs (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, message TEXT,
     recipe TEXT NOT NULL, predicted TEXT, folder TEXT NOT NULL,
     step INTEGER NOT NULL DEFAULT 0, steps INTEGER NOT NULL DEFAULT 0,
     loss REAL, eval_loss REAL, seconds_left REAL,
     created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER, queue_order REAL
   ) STRICT;
   CREATE INDEX runs_by_status ON runs (status, queue_order);`,
  // Two studios on one library: who runs a run, and whether that studio still lives.
  `ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE runs ADD COLUMN owner TEXT;
   ALTER TABLE runs ADD COLUMN heartbeat_at INTEGER;
   ALTER TABLE runs ADD COLUMN trashed_at INTEGER;`,
  `CREATE TABLE adapters (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, run_id TEXT REFERENCES runs (id) ON DELETE SET NULL,
     parent_id TEXT REFERENCES adapters (id) ON DELETE SET NULL, origin TEXT NOT NULL, method TEXT NOT NULL, model TEXT NOT NULL,
     bytes INTEGER NOT NULL, eval_loss REAL, notes TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '[]',
     created_at INTEGER NOT NULL, archived_at INTEGER, trashed_at INTEGER
   ) STRICT;
   CREATE TABLE chats (
     id TEXT PRIMARY KEY, title TEXT NOT NULL, adapter_id TEXT REFERENCES adapters (id) ON DELETE SET NULL,
     messages TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
   ) STRICT;`,
  // What the library shows of an adapter without opening it, where it comes from, and what was measured on it.
  `ALTER TABLE adapters ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
   ALTER TABLE adapters ADD COLUMN hashes TEXT NOT NULL DEFAULT '{}';
   ALTER TABLE runs ADD COLUMN entered_at INTEGER;
   CREATE UNIQUE INDEX adapters_by_run ON adapters (run_id);
   CREATE TABLE adapter_parents (
     adapter_id TEXT NOT NULL REFERENCES adapters (id) ON DELETE CASCADE,
     parent_id TEXT NOT NULL REFERENCES adapters (id) ON DELETE CASCADE,
     relation TEXT NOT NULL, PRIMARY KEY (adapter_id, parent_id)
   ) STRICT;
   CREATE TABLE adapter_exports (
     id TEXT PRIMARY KEY, adapter_id TEXT NOT NULL REFERENCES adapters (id) ON DELETE CASCADE,
     target TEXT NOT NULL, path TEXT NOT NULL, report TEXT NOT NULL, created_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE drop_curves (
     adapter_id TEXT NOT NULL REFERENCES adapters (id) ON DELETE CASCADE, data TEXT NOT NULL,
     curve TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (adapter_id, data)
   ) STRICT;
   CREATE TABLE evaluations (
     id TEXT PRIMARY KEY, name TEXT NOT NULL, result TEXT NOT NULL, created_at INTEGER NOT NULL
   ) STRICT;`,
  // What a running run was asked for; exports and imports, which go on when nobody looks.
  `ALTER TABLE runs ADD COLUMN asked TEXT;
   CREATE TABLE jobs (
     id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, adapter_id TEXT, folder TEXT NOT NULL, state TEXT NOT NULL,
     message TEXT, result TEXT, owner TEXT NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER
   ) STRICT;`,
  // How a dataset's columns are read, and whether it is a table of the studio's own.
  `ALTER TABLE datasets ADD COLUMN reading TEXT NOT NULL DEFAULT '{}';
   ALTER TABLE datasets ADD COLUMN own INTEGER NOT NULL DEFAULT 0;`,
  // What a person wants to remember of a run.
  `ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT '';
   ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';`,
  // A job may make several folders: an export, and the adapter that is kept of it.
  `ALTER TABLE jobs RENAME COLUMN folder TO folders;
   UPDATE jobs SET folders = CASE folders WHEN '' THEN '[]' ELSE json_array(folders) END;`,
];
