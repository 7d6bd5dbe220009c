import path from 'node:path';
import type { HeldTensor } from '../effilora/types.ts';
import { describeAdapter, writeAdapter, type AdapterToWrite } from './adapter-folder.ts';
import { copyPair } from './adapter-pair.ts';
import { CheckpointClock } from './checkpoint-clock.ts';
import { endsInBest, pruneCheckpoints, writeCheckpoint, type Checkpoint } from './checkpoints.ts';
import { giveBackMemory } from './give-back-memory.ts';
import type { RunContext } from './run-context.ts';
import type { RunLines } from './run-lines.ts';
import type { StepData } from './step-data.ts';

/** Keeps what a run has reached: checkpoints, and the adapter that it ends in. */
export class Keeper {
  private readonly clock: CheckpointClock;

  constructor(
    private readonly at: RunContext,
    private readonly data: StepData,
    private readonly lines: RunLines,
  ) {
    this.clock = new CheckpointClock(at.recipe.training.checkpointMinutes * 60);
  }

  /** Whether so much time went by that the next checkpoint is due. */
  get isDue(): boolean {
    return this.clock.isDue;
  }

  /** @param order where the run stands in its data */
  checkpoint(order = this.data.state): Promise<void> {
    return this.clock.write(() => this.writeCheckpoint(order));
  }

  private async writeCheckpoint(order: Checkpoint['order']): Promise<void> {
    const { recipe, lock, control, tell, run, progress } = this.at;
    const { adapter, optimizer, reducer, allocator } = run.step;
    control.doing = 'the data to be read to its end';
    await this.data.whole();
    await lock.check();
    control.doing = `the checkpoint of step ${progress.step} to be written`;
    tell({ kind: 'checkpointing', step: progress.step });
    await this.lines.sync();
    const { steps, moments } = optimizer.exportState();
    const ranks = allocator?.exportState();
    const checkpoint: Checkpoint<HeldTensor> = {
      step: progress.step,
      adapter: adapter.held,
      optimizer: { steps, moments: [...moments, ...(ranks?.tensors ?? [])] },
      reducer: reducer.exportState(),
      ...(ranks && { ranks: ranks.state }),
      order,
      tokens: progress.tokens,
      telemetryBytes: this.lines.bytes,
      best: progress.best,
      last: progress.last,
      seconds: progress.seconds,
      described: await describeAdapter(this.toWrite()),
    };
    const onPiece = () => tell({ kind: 'alive' });
    await writeCheckpoint(this.folder('checkpoints'), checkpoint, recipe.training.keepCheckpoints, onPiece);
    giveBackMemory();
    tell({ kind: 'checkpoint', step: progress.step });
  }

  /** The adapter as it is, as the one that is best so far. */
  best(): Promise<void> {
    return this.writeResult(this.folder('best'));
  }

  /** The adapter that the run ends in: the one that was best where `endsInBest` says so, else the last. */
  async result(): Promise<void> {
    const { recipe, folder, lock, progress, tell } = this.at;
    if (endsInBest(recipe, progress)) {
      await lock.check();
      await copyPair(this.folder('best'), folder);
      progress.last.evalLoss = progress.best.loss;
      tell({ kind: 'log', line: `The run ends in the state of step ${progress.best.step}, whose held-out loss was lowest` }); // prettier-ignore
    } else await this.writeResult(folder);
    // What can still be resumed has its last one; to fall back on an older one, there is nothing left to do.
    await pruneCheckpoints(this.folder('checkpoints'), 1);
  }

  private async writeResult(folder: string): Promise<void> {
    await this.data.whole();
    await this.at.lock.check();
    this.at.control.doing = 'the adapter to be written';
    await writeAdapter(folder, this.toWrite());
  }

  private folder(name: string): string {
    return path.join(this.at.folder, name);
  }

  private toWrite(): AdapterToWrite {
    const { recipe, run, progress } = this.at;
    const metrics = { steps: progress.step, ...progress.last, seconds: progress.seconds };
    const { adapter, reducer } = run.step;
    const { file, data, model } = run;
    const { architecture, blockNames: blocks } = model;
    return { adapter, reducer, file, architecture, blocks, datasets: data.datasets, recipe, metrics };
  }
}
