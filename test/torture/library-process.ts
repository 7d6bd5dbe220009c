import { openLibrary } from '../../src-main/studio/database/open.ts';
import { RunStore } from '../../src-main/studio/runs/store.ts';
import type { Recipe } from '../../src-preload/contract/index.ts';

// Fills a library with so many runs, one after the other, each changed once; closes it as a studio does.
const [file, count] = process.argv.slice(2);
const library = openLibrary(file!);
// Its log goes into the library every so many pages: more often here, so that few runs see it many times.
library.exec('PRAGMA wal_autocheckpoint = 10');
const runs = new RunStore(library);
const recipe = { model: 'm'.repeat(6000), dataset: 'd', training: { steps: 1 } } as unknown as Recipe;
for (let k = 0; k < Number(count); k++) {
  const id = `run-${String(k).padStart(4, '0')}`;
  runs.add({ id, name: id, folder: `/runs/${k}`, recipe, predicted: null, hold: true });
  runs.change(id, { step: k });
}
library.close();
