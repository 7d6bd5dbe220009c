import fsp from 'node:fs/promises';
import path from 'node:path';
import { packBatch, padBatch } from '../data/batches.ts';
import { DataOrder } from '../data/order.ts';
import { UserError } from '../engine/types.ts';
import { writeAdapter } from './adapter-folder.ts';
import { writeAtomic } from './atomic.ts';
import { readLastCheckpoint, writeCheckpoint, type Checkpoint } from './checkpoints.ts';
import { RunControl } from './control.ts';
import { meanLoss } from './evaluate.ts';
import type { RunEvent, RunSummary } from './events.ts';
import { closeRun, openRun, type Run } from './prepare.ts';
import { formatRecipe, type Recipe } from './recipe.ts';
import { learningRateAt } from './schedules.ts';
import type { StepReport } from './step.ts';
import { JsonLines } from './telemetry.ts';

export interface TrainOptions {
  /** go on from the folder's last checkpoint */
  resume?: boolean;
  control?: RunControl;
  onEvent?: (event: RunEvent) => void;
}

/** Runs of this many steps or more write heads.jsonl every tenth step unless told otherwise. */
const MANY_STEPS = 1000;
/** Seconds a step are averaged over about this many steps for the time left. */
const SPEED_STEPS = 20;

/**
 * Trains by a recipe into `folder`: adapter.safetensors, adapter.json, metrics.jsonl, heads.jsonl, recipe.yaml, checkpoints/.
 * Killed at any moment and resumed, it ends in the same numbers.
 * @throws UserError when something does not fit, the loss is no number, or the disk is full; the last good checkpoint stays
 */
export async function train(recipe: Recipe, folder: string, options: TrainOptions = {}): Promise<RunSummary> {
  const emit = options.onEvent ?? (() => {});
  const log = (line: string) => emit({ kind: 'log', line });
  const checkpoints = path.join(folder, 'checkpoints');
  const checkpoint = options.resume ? await readLastCheckpoint(checkpoints, log) : undefined;
  if (!options.resume) await refuseUsedFolder(folder);
  const run = await openRun(recipe, log);
  await fsp.mkdir(checkpoints, { recursive: true });
  await writeAtomic(path.join(folder, 'recipe.yaml'), formatRecipe(recipe));
  const loop = await Loop.open(recipe, folder, run, checkpoint, options.control ?? new RunControl(), emit);
  try {
    return await loop.run();
  } finally {
    await loop.close();
    await closeRun(run);
  }
}

async function refuseUsedFolder(folder: string): Promise<void> {
  const names = await fsp.readdir(folder).catch(() => [] as string[]);
  if (names.includes('metrics.jsonl'))
    throw new UserError(
      `${folder} holds a run already; add --resume to go on with it, or choose another folder with --out`,
    );
}

/** A run under way: what changes from step to step. */
class Loop {
  private step = 0;
  private tokens = { label: 0, all: 0 };
  private seconds = 0;
  private secondsAStep = 0;
  private best: Checkpoint['best'] = { loss: null, step: 0, evaluationsSince: 0 };
  private lastLoss = NaN;
  private lastEvalLoss: number | undefined;

  private constructor(
    private readonly recipe: Recipe,
    private readonly folder: string,
    private readonly ran: Run,
    private readonly order: DataOrder,
    private readonly metrics: JsonLines,
    private readonly heads: JsonLines,
    private readonly control: RunControl,
    private readonly emit: (event: RunEvent) => void,
  ) {}

  static async open(
    recipe: Recipe,
    folder: string,
    run: Run,
    from: Checkpoint | undefined,
    control: RunControl,
    emit: (event: RunEvent) => void,
  ): Promise<Loop> {
    const sizes = run.train.map((part) => part.length);
    const weights = recipe.dataset.map(({ weight }) => weight);
    const { seed, shuffle } = recipe.training;
    const order = new DataOrder(sizes, weights, seed, shuffle, from?.order);
    const metrics = await JsonLines.open(path.join(folder, 'metrics.jsonl'), from?.telemetryBytes.metrics ?? 0);
    const heads = await JsonLines.open(path.join(folder, 'heads.jsonl'), from?.telemetryBytes.heads ?? 0);
    const loop = new Loop(recipe, folder, run, order, metrics, heads, control, emit);
    if (from) loop.restore(from);
    return loop;
  }

  private restore(from: Checkpoint): void {
    const { adapter, optimizer, reducer } = this.ran.step;
    adapter.import(from.adapter);
    optimizer.importState(from.optimizer);
    reducer.importState(from.reducer);
    this.step = from.step;
    this.tokens = from.tokens;
    this.seconds = from.seconds;
    this.best = from.best;
  }

  async close(): Promise<void> {
    await this.metrics.close();
    await this.heads.close();
  }

  async run(): Promise<RunSummary> {
    const { steps, engine, step } = this.ran;
    this.emit({ kind: 'started', steps, step: this.step, heads: step.adapter.heads.length, engine: engine.name });
    const { checkpointEvery } = this.recipe.training;
    while (this.step < steps) {
      await this.obey();
      if (this.control.stopRequested) return this.end('stopped');
      await this.oneStep();
      if (this.isEarlyEnd()) return this.end('early');
      if (this.step % checkpointEvery === 0 && this.step < steps) await this.checkpoint();
    }
    return this.end('finished');
  }

  /** Does what the run was asked meanwhile. */
  private async obey(): Promise<void> {
    const { control, step } = this;
    if (control.ratio !== undefined) {
      this.ran.step.reducer.ratio = control.ratio;
      control.ratio = undefined;
    }
    if (!control.paused || control.stopRequested) return;
    await this.checkpoint();
    this.emit({ kind: 'paused', step });
    await control.whilePaused();
    this.emit({ kind: 'resumed', step });
  }

  private async oneStep(): Promise<void> {
    const { training } = this.recipe;
    const started = performance.now();
    const number = this.step + 1;
    const learningRate = learningRateAt(number, training, this.ran.steps);
    const before = this.order.state;
    const batches = this.nextBatches();
    const withHeads = this.writesHeads(number);
    this.ran.step.options.routerShare = withHeads;
    let report: StepReport;
    try {
      report = await this.ran.step.run(number, batches, learningRate);
    } catch (error) {
      await this.keepLastGood(error, before);
      throw error;
    }
    this.step = number;
    this.lastLoss = report.loss;
    this.tokens = { label: this.tokens.label + report.labelTokens, all: this.tokens.all + report.tokens };
    const stepSeconds = (performance.now() - started) / 1000;
    const evalLoss = await this.evaluateIfDue();
    this.countTime((performance.now() - started) / 1000);
    await this.tell(report, learningRate, stepSeconds, evalLoss, withHeads);
  }

  private nextBatches() {
    const { batch, accumulate, packing, sequenceLength } = this.recipe.training;
    const examples = this.ran.train.flat();
    return Array.from({ length: accumulate }, () => {
      const chosen = this.order.next(batch).map((index) => examples[index]!);
      return packing ? packBatch(chosen, sequenceLength) : padBatch(chosen);
    });
  }

  private writesHeads(step: number): boolean {
    const every = this.recipe.training.headsEvery ?? (this.ran.steps < MANY_STEPS ? 1 : 10);
    return step % every === 0 || step === this.ran.steps;
  }

  /** A loss that is no number has updated nothing: the state before this step is worth keeping. */
  private async keepLastGood(error: unknown, orderBefore: Checkpoint['order']): Promise<void> {
    if (!(error instanceof UserError) || this.step === 0) return;
    await this.checkpoint(orderBefore);
  }

  private async evaluateIfDue(): Promise<number | undefined> {
    const { evalEvery } = this.recipe.training;
    const { heldOut, model, step, steps } = this.ran;
    if (heldOut.length === 0 || (this.step % evalEvery !== 0 && this.step !== steps)) return undefined;
    const { loss } = await meanLoss(model, heldOut, step.adapter);
    this.lastEvalLoss = loss;
    if (step.reducer.evaluate(loss))
      this.emit({ kind: 'log', line: `Step ${this.step}: the held-out loss rose, the last selection is undone` });
    if (this.best.loss === null || loss < this.best.loss) {
      this.best = { loss, step: this.step, evaluationsSince: 0 };
      if (this.recipe.training.patience > 0) await this.writeResult('best');
    } else this.best.evaluationsSince++;
    return loss;
  }

  private isEarlyEnd(): boolean {
    const { patience } = this.recipe.training;
    return patience > 0 && this.best.evaluationsSince >= patience && this.step < this.ran.steps;
  }

  private countTime(seconds: number): void {
    this.seconds += seconds;
    const share = this.secondsAStep === 0 ? 1 : 1 / SPEED_STEPS;
    this.secondsAStep += share * (seconds - this.secondsAStep);
  }

  private async tell(
    report: StepReport,
    learningRate: number,
    stepSeconds: number,
    evalLoss: number | undefined,
    withHeads: boolean,
  ): Promise<void> {
    const line = {
      step: this.step,
      loss: report.loss,
      learningRate,
      gradNorm: report.gradNorm,
      tokens: this.tokens,
      tokensPerSecond: report.tokens / stepSeconds,
      memory: process.memoryUsage.rss(),
      secondsLeft: (this.ran.steps - this.step) * this.secondsAStep,
      ...(evalLoss === undefined ? {} : { evalLoss }),
    };
    await this.metrics.append(line);
    this.emit({ kind: 'metrics', line });
    if (!withHeads) return;
    const { adapter, reducer } = this.ran.step;
    const byName = (values: ArrayLike<number>) =>
      Object.fromEntries(adapter.heads.map((name, i) => [name, values[i]!]));
    const heads = {
      step: this.step,
      importance: byName(reducer.importance),
      frozen: report.frozen,
      routerShare: report.routerShare ? byName(report.routerShare) : {},
    };
    await this.heads.append(heads);
    this.emit({ kind: 'heads', line: heads });
  }

  private async checkpoint(order = this.order.state): Promise<void> {
    const { adapter, optimizer, reducer } = this.ran.step;
    this.emit({ kind: 'checkpointing', step: this.step });
    await this.metrics.sync();
    await this.heads.sync();
    const checkpoint: Checkpoint = {
      step: this.step,
      adapter: await adapter.export(),
      optimizer: await optimizer.exportState(),
      reducer: reducer.exportState(),
      order,
      tokens: this.tokens,
      telemetryBytes: { metrics: this.metrics.length, heads: this.heads.length },
      best: this.best,
      seconds: this.seconds,
    };
    try {
      await writeCheckpoint(path.join(this.folder, 'checkpoints'), checkpoint, this.recipe.training.keepCheckpoints);
    } catch (error) {
      throw diskError(error, this.folder, this.step);
    }
    this.emit({ kind: 'checkpoint', step: this.step });
  }

  private async writeResult(subfolder?: string): Promise<void> {
    const { file, datasets, step } = this.ran;
    const folder = subfolder ? path.join(this.folder, subfolder) : this.folder;
    const metrics = { steps: this.step, loss: this.lastLoss, evalLoss: this.lastEvalLoss, seconds: this.seconds };
    await writeAdapter(folder, {
      adapter: step.adapter,
      reducer: step.reducer,
      file,
      datasets,
      recipe: this.recipe,
      metrics,
    });
  }

  private async end(reason: RunSummary['reason']): Promise<RunSummary> {
    if (this.step > 0) await this.checkpoint();
    const best = path.join(this.folder, 'best');
    const keepsBest = this.recipe.training.patience > 0 && this.best.loss !== null && this.best.step < this.step;
    if (keepsBest) {
      for (const name of ['adapter.safetensors', 'adapter.json'])
        await writeAtomic(path.join(this.folder, name), await fsp.readFile(path.join(best, name)));
      this.lastEvalLoss = this.best.loss!;
    } else await this.writeResult();
    const { reducer, adapter } = this.ran.step;
    return {
      folder: this.folder,
      steps: this.step,
      reason,
      loss: this.lastLoss,
      evalLoss: this.lastEvalLoss,
      seconds: this.seconds,
      frozenHeads: reducer.frozen.length,
      heads: adapter.heads.length,
    };
  }
}

function diskError(error: unknown, folder: string, step: number): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (!['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code ?? '')) return error;
  return new UserError(
    `The disk is full: the checkpoint of step ${step} in ${folder} was not written, the one before it is whole; make room and go on with --resume`,
  );
}
