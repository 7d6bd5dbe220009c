import path from 'node:path';
import { withoutDropped, droppedHeads } from '../effilora/adapter-file.ts';
import { UserError } from '../engine/types.ts';
import { writeStoredAdapter } from './adapter-folder.ts';
import { copyPair } from './adapter-pair.ts';
import { endsInBest, pruneCheckpoints, readLastCheckpoint } from './checkpoints.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { RunLock } from './run-lock.ts';

/**
 * Ends a run that isn't going with the adapter of its last checkpoint, as a stop at that step would have: its best one where
 * it watches the held-out loss.
 * @throws UserError when it has no checkpoint, one of an older version, or is going
 */
export async function keepCheckpoint(folder: string): Promise<{ step: number }> {
  const lock = await RunLock.take(folder);
  try {
    const checkpoints = path.join(folder, 'checkpoints');
    const checkpoint = await readLastCheckpoint(checkpoints, () => {});
    if (!checkpoint)
      throw new UserError('This run has no checkpoint yet, so that there is nothing to keep. Resume it, or delete it.');
    const { step, adapter, described } = checkpoint;
    if (!described)
      throw new UserError('The last checkpoint is of an older version. Resume the run, then stop it: that keeps it.');
    if (endsInBest(described.recipe as Recipe, checkpoint)) await copyPair(path.join(folder, 'best'), folder);
    else {
      const tensors = withoutDropped(adapter, described.method, droppedHeads(described));
      await writeStoredAdapter(folder, { description: described, tensors });
    }
    await pruneCheckpoints(checkpoints, 1);
    return { step };
  } finally {
    await lock.release();
  }
}
