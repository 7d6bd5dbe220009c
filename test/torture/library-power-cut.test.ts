import path from 'node:path';
import { expect, it } from 'vitest';
import { openLibrary } from '../../src-main/studio/database/open.ts';
import { temporary } from '../trainer/support.ts';
import { LibraryFiles, noRecorder, recordLibrary } from './library-power-cut.ts';
import { random } from './random.ts';

const RUNS = 10;
const work = temporary('library-power-cut');

/** Opens what is left as a studio does. Returns the ids of its runs. */
function runsIn(folder: string): string[] {
  const library = openLibrary(path.join(folder, 'library.db'));
  try {
    expect(library.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    return (library.prepare('SELECT id FROM runs ORDER BY id').all() as { id: string }[]).map(({ id }) => id);
  } finally {
    library.close();
  }
}

it.skipIf(noRecorder)(
  `the library opens after a power cut behind any of its writes, with all its runs up to one (${noRecorder ?? 'recorded here'})`,
  () => {
    const changes = recordLibrary(work, RUNS);
    const all = Array.from({ length: RUNS }, (_, k) => `run-${String(k).padStart(4, '0')}`);
    const files = new LibraryFiles();
    let safe = 0;
    const seen = new Set<number>();
    for (const [count, change] of changes.entries()) {
      files.apply(change);
      if (change.kind !== 'write') {
        files.leave(path.join(work, 'left'));
        const kept = runsIn(path.join(work, 'left'));
        expect(kept).toEqual(all.slice(0, kept.length));
        // What was safe once stays so.
        expect(kept.length).toBeGreaterThanOrEqual(safe);
        safe = kept.length;
        seen.add(safe);
      }
      files.leave(path.join(work, 'left'), random(count));
      const some = runsIn(path.join(work, 'left'));
      expect(some).toEqual(all.slice(0, some.length));
      expect(some.length).toBeGreaterThanOrEqual(safe);
    }
    expect(safe).toBe(RUNS);
    // It was safe in parts, not at the end alone.
    expect(seen.size).toBeGreaterThan(3);
    expect(changes.filter(({ kind }) => kind === 'sync').length).toBeGreaterThan(5);
  },
);
