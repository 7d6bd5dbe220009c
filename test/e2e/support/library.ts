import { join } from 'node:path';
import { openLibrary } from '../../../src-main/studio/database/open.ts';
import { RunStore } from '../../../src-main/studio/runs/store.ts';
import type { RunStatus } from '../../../src-preload/contract/index.ts';
import { writeRun } from './synthetic-run.ts';
import type { Shape } from './synthetic-run.ts';

export interface KeptRun {
  id: string;
  status: Exclude<RunStatus, 'queued' | 'running'>;
  shape: Shape;
  message?: string;
  rank?: number;
  model?: string;
  /** of its recipe, besides what all of these have */
  training?: Record<string, unknown>;
}

/** A library as a studio left it: runs with all their files, none of them going. Returns their folders. */
export function keepRuns(dataFolder: string, kept: KeptRun[]): string[] {
  const library = openLibrary(join(dataFolder, 'library.db'));
  const runs = new RunStore(library);
  const folders = kept.map(({ id, status, shape, message, rank = 8, model = 'smollm2-135m', training }) => {
    const folder = join(dataFolder, 'runs', id);
    const recipe = {
      model,
      dataset: join(dataFolder, 'rows.jsonl'),
      method: { name: 'effilora', rank, heads: shape.heads, reducer: { ratio: 0.6 } },
      training: { steps: shape.steps, batch: 8, sequenceLength: 128, ...training },
    };
    const predicted = { memoryBytes: 2.4e9, seconds: 200 };
    runs.add({ id, name: id.replaceAll('-', ' '), recipe, predicted, folder, hold: true });
    writeRun(folder, shape);
    const ended = { started_at: Date.now() - 600_000, ended_at: Date.now() - 60_000 };
    const numbers = { step: shape.steps, loss: 0.52, eval_loss: 0.6 };
    runs.change(id, { status, message: message ?? null, attempt: 1, ...ended, ...numbers });
    return folder;
  });
  library.close();
  return folders;
}
