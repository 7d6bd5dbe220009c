import { openLibrary } from '../../../src-main/studio/database/open.ts';
import { RunStore } from '../../../src-main/studio/runs/store.ts';

// Adds runs until it is killed, and tells how many are committed.
const runs = new RunStore(openLibrary(process.argv[2]!));
const recipe = { model: 'm', dataset: 'd.jsonl', method: {}, training: {} };
function add(count: number): void {
  runs.add({ id: String(count), name: 'n', recipe, predicted: null, folder: '/nowhere', hold: true });
  process.send!(count, () => add(count + 1));
}
add(1);
