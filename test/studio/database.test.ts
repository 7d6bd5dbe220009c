import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../src-main/studio/database/migrations.ts';
import { openLibrary, schemaVersion } from '../../src-main/studio/database/open.ts';
import { RunStore } from '../../src-main/studio/runs/store.ts';
import { scratchFolder } from '../support/scratch.ts';

let scratch: ReturnType<typeof scratchFolder>;
beforeEach(() => (scratch = scratchFolder()));
afterEach(() => scratch.remove());

const recipe = { model: 'm', dataset: 'd.jsonl', method: {}, training: { steps: 10 } };
const run = (id: string) => ({ id, name: id, recipe, predicted: null, folder: `/nowhere/${id}`, hold: false });

describe('library database', () => {
  it.each(MIGRATIONS.map((_, version) => version))(
    'brings a version %i library up to date and keeps its rows',
    (version) => {
      const path = join(scratch.folder, 'library.db');
      const old = new Database(path);
      for (const step of MIGRATIONS.slice(0, version)) old.exec(step);
      old.exec(`PRAGMA user_version = ${version}`);
      if (version > 0) {
        old.exec(`INSERT INTO runs (id, name, status, recipe, folder, created_at, queue_order)
        VALUES ('r1', 'kept', 'finished', '${JSON.stringify(recipe)}', '/nowhere', 5, 1)`);
        old.exec(`INSERT INTO settings VALUES ('values', '{"theme":"dark"}')`);
      }
      old.close();
      const library = openLibrary(path);
      expect(schemaVersion(library)).toBe(MIGRATIONS.length);
      const names = new RunStore(library).list(false).map((row) => row.name);
      expect(names).toEqual(version > 0 ? ['kept'] : []);
      const columns = library.prepare('PRAGMA table_info(runs)').all() as { name: string }[];
      expect(columns.map((column) => column.name)).toContain('heartbeat_at');
      library.prepare('SELECT * FROM adapters, chats').all();
      library.close();
    },
  );

  it('refuses a library of a newer studio and a file that is none, and leaves both as they were', () => {
    const newer = join(scratch.folder, 'newer.db');
    const made = new Database(newer);
    made.exec('PRAGMA user_version = 99');
    made.close();
    expect(() => openLibrary(newer)).toThrow(/newer studio \(schema 99/);
    const garbage = join(scratch.folder, 'garbage.db');
    writeFileSync(garbage, 'this is no database, however long one looks at it'.repeat(200));
    const before = readFileSync(garbage);
    expect(() => openLibrary(garbage)).toThrow(/can't be opened.*Move the file aside/s);
    expect(readFileSync(garbage).equals(before)).toBe(true);
  });

  it('keeps every committed row when the writing studio is killed', async () => {
    const path = join(scratch.folder, 'library.db');
    openLibrary(path).close();
    const writer = fileURLToPath(new URL('./support/writer.ts', import.meta.url));
    const child = fork(writer, [path], { execArgv: ['--import', 'tsx'] });
    let acknowledged = 0;
    await new Promise<void>((resolve) =>
      child.on('message', (count: number) => {
        acknowledged = count;
        if (count === 200) resolve();
      }),
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    const library = openLibrary(path);
    expect(new RunStore(library).list(false).length).toBeGreaterThanOrEqual(acknowledged);
    expect(library.prepare('PRAGMA integrity_check').get()).toMatchObject({ integrity_check: 'ok' });
    library.close();
  });

  it('gives a queued run to one of two studios only', async () => {
    const path = join(scratch.folder, 'library.db');
    const [first, second] = [openLibrary(path), openLibrary(path)];
    const [a, b] = [new RunStore(first), new RunStore(second)];
    a.add(run('one'));
    b.add(run('two'));
    expect(a.claimNext('studio a')?.id).toBe('one');
    expect(b.claimNext('studio b')).toBeUndefined();
    a.change('one', { status: 'finished' });
    expect(b.claimNext('studio b')?.id).toBe('two');
    // Studio b falls silent: its run is no longer taken for running.
    expect(a.releaseLost(() => 'elsewhere')).toEqual([]);
    // One that lives on this machine was suspended with it: silence says nothing.
    expect(a.releaseLost(() => 'alive', Date.now() + 60_000)).toEqual([]);
    expect(a.releaseLost(() => 'elsewhere', Date.now() + 60_000)).toEqual(['two']);
    expect(a.row('two').status).toBe('interrupted');
    first.close();
    second.close();
  });
});
