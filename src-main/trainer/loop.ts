import path from 'node:path';
import { sizesOf } from '../data/example-source.ts';
import type { HeldTensor } from '../effilora/types.ts';
import { engineMemoryBytes } from '../engine/memory.ts';
import { UserError } from '../engine/types.ts';
import { DeviceError } from '../engine/webgpu/device.ts';
import { describeAdapter, writeAdapter, type AdapterToWrite } from './adapter-folder.ts';
import { copyPair } from './adapter-pair.ts';
import { CheckpointClock } from './checkpoint-clock.ts';
import { giveBackMemory } from './give-back-memory.ts';
import { pruneCheckpoints, writeCheckpoint, type Checkpoint } from './checkpoints.ts';
import type { RunControl } from './control.ts';
import { meanLoss, type Evaluation } from './evaluate.ts';
import type { RunEvent, RunSummary } from './events.ts';
import { modelFacts } from './plan-facts.ts';
import type { Run } from './prepare.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { RunLock } from './run-lock.ts';
import { RunSpeeds } from './run-speeds.ts';
import { SamplePrompts } from './samples.ts';
import { learningRateAt } from './schedules.ts';
import { measureStart } from './start.ts';
import { StepData } from './step-data.ts';
import type { StepReport } from './step.ts';
import { JsonLines } from './telemetry.ts';
import { TimeLeft } from './time-left.ts';

/** Runs of this many steps or more write heads.jsonl every tenth step unless told otherwise. */
const MANY_STEPS = 1000;

/** Steps between two collections of the host's garbage. */
const COLLECT_STEPS = 25;

/** A run under way: what changes from step to step. */
export class Loop {
  private step = 0;
  /** the step that this process began with */
  private first = 1;
  private tokens = { label: 0, all: 0 };
  private seconds = 0;
  private readonly time: TimeLeft;
  private readonly clock: CheckpointClock;
  private readonly speeds: RunSpeeds;
  private best: Checkpoint['best'] = { loss: null, step: 0, evaluationsSince: 0 };
  private last: Checkpoint['last'] = { loss: null, evalLoss: null };

  private constructor(
    private readonly recipe: Recipe,
    private readonly folder: string,
    private readonly lock: RunLock,
    private readonly ran: Run,
    private readonly data: StepData,
    private readonly metrics: JsonLines,
    private readonly heads: JsonLines,
    private readonly samples: JsonLines,
    private readonly prompts: SamplePrompts,
    private readonly control: RunControl,
    private readonly emit: (event: RunEvent) => void,
  ) {
    const { batch, accumulate } = recipe.training;
    this.clock = new CheckpointClock(recipe.training.checkpointMinutes * 60);
    const tokens = sizesOf(ran.train).reduce((sum, size) => sum + size, 0);
    this.time = new TimeLeft((batch * accumulate * tokens) / ran.train.count);
    this.speeds = new RunSpeeds({ ...ran, products: recipe.training.precision, model: modelFacts(ran.file) });
  }

  static async open(
    recipe: Recipe,
    folder: string,
    lock: RunLock,
    run: Run,
    from: Checkpoint | undefined,
    control: RunControl,
    emit: (event: RunEvent) => void,
  ): Promise<Loop> {
    const data = new StepData(recipe, run, (line) => emit({ kind: 'log', line }), from?.order);
    const lines = (name: keyof Checkpoint['telemetryBytes']) =>
      JsonLines.open(path.join(folder, `${name}.jsonl`), from?.telemetryBytes[name] ?? 0);
    const [metrics, heads, samples] = [await lines('metrics'), await lines('heads'), await lines('samples')];
    const prompts = new SamplePrompts(run.file.tokenizer, run.heldOut, recipe.training.samples);
    const loop = new Loop(recipe, folder, lock, run, data, metrics, heads, samples, prompts, control, emit);
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
    this.last = from.last;
  }

  async close(): Promise<void> {
    await this.metrics.close();
    await this.heads.close();
    await this.samples.close();
  }

  async run(): Promise<RunSummary> {
    const { steps, engine, step } = this.ran;
    this.emit({ kind: 'started', steps, step: this.step, heads: step.adapter.heads.length, engine: engine.name });
    const { checkpointEvery } = this.recipe.training;
    this.control.isStepping = true;
    if (this.step === 0 && !this.control.asked) await this.measureStart();
    this.first = this.step + 1;
    while (this.step < steps && !this.isEarlyEnd()) {
      // Lets messages in.
      await new Promise((resolve) => setImmediate(resolve));
      await this.lock.check();
      this.takeRatio();
      if (this.control.asked === 'pause') return this.pause();
      if (this.control.asked === 'stop') return this.end('stopped');
      await this.oneStep();
      if (this.step === this.first) this.emit({ kind: 'log', line: 'The first step is done' });
      const isDue = this.step % checkpointEvery === 0 || this.clock.isDue;
      if (isDue && this.step < steps) await this.checkpoint();
      if (this.step % COLLECT_STEPS === 0) giveBackMemory();
    }
    // The one before the first step is an evaluation, too.
    if (this.step === steps && this.first === 1)
      await this.speeds.beside(this.secondsFor(steps) + this.time.left(0, 1));
    return this.end(this.step < steps ? 'early' : 'finished');
  }

  /** Later losses and answers are held against those before the first update. */
  private async measureStart(): Promise<void> {
    if (this.ran.heldOut.count === 0) return;
    this.control.doing = 'the model to be measured before the first step';
    this.emit({ kind: 'log', line: 'Measuring the model before the first step' });
    const { loss, seconds } = await measureStart(this.folder, this.lock, this.ran, this.prompts, this.samples);
    this.time.evaluation(seconds);
    this.seconds += seconds;
    this.emit({ kind: 'log', line: `Before training: held-out loss ${loss.toFixed(4)}` });
  }

  private takeRatio(): void {
    const { ratio } = this.control;
    if (ratio === undefined) return;
    this.ran.step.reducer.ratio = ratio;
    this.control.ratio = undefined;
    this.emit({ kind: 'log', line: `Step ${this.step}: the Reducer's ratio is ${ratio} from the next selection on` });
  }

  private async pause(): Promise<RunSummary> {
    if (this.step > 0) await this.checkpoint();
    return this.summary('paused');
  }

  private async oneStep(): Promise<void> {
    const { training } = this.recipe;
    const started = performance.now();
    const number = this.step + 1;
    this.control.doing = `step ${number} to end`;
    const learningRate = learningRateAt(number, training, this.ran.steps);
    const before = this.data.state;
    const batches = await this.data.next();
    const withHeads = this.writesHeads(number);
    this.ran.step.options.routerShare = withHeads;
    const report = await this.ran.step.run(number, batches, learningRate).catch(async (error: unknown) => {
      throw await this.keepLastGood(error, before);
    });
    if (!Number.isFinite(report.gradNorm))
      throw new UserError(
        `The gradients of step ${number} are no numbers; a checkpoint in ${this.folder} is from before it and good. Lower the learning rate, or look for broken examples in the dataset.`,
      );
    await this.lock.check();
    this.step = number;
    this.last.loss = report.loss;
    this.tokens = { label: this.tokens.label + report.terms, all: this.tokens.all + report.units };
    const secondsSince = () => (performance.now() - started) / 1000;
    const stepSeconds = secondsSince();
    this.time.step(stepSeconds, report.units);
    await this.speeds.steps(this.time);
    const evaluation = await this.evaluateIfDue();
    if (evaluation) this.time.evaluation(secondsSince() - stepSeconds);
    this.seconds += secondsSince();
    await this.tell(report, learningRate, stepSeconds, evaluation, withHeads);
  }

  private writesHeads(step: number): boolean {
    const every = this.recipe.training.headsEvery ?? (this.ran.steps < MANY_STEPS ? 1 : 10);
    return step % every === 0 || step === this.ran.steps;
  }

  /** A loss that is no number has updated nothing: the state before this step is worth keeping. Returns what to throw. */
  private async keepLastGood(error: unknown, orderBefore: Checkpoint['order']): Promise<unknown> {
    // From a lost device nothing can be read: the checkpoint on disk is what there is.
    if (!(error instanceof UserError) || error instanceof DeviceError || this.step === 0) return error;
    await this.checkpoint(orderBefore);
    return new UserError(`${error.message} The state of step ${this.step} is kept in ${this.folder}.`);
  }

  private async evaluateIfDue(): Promise<Evaluation | undefined> {
    const { evalEvery } = this.recipe.training;
    const { heldOut, model, step, steps } = this.ran;
    if (heldOut.count === 0 || (this.step % evalEvery !== 0 && this.step !== steps)) return undefined;
    this.control.doing = `the evaluation after step ${this.step}`;
    const evaluation = await meanLoss(model, heldOut, step.adapter);
    const { loss } = evaluation;
    this.last.evalLoss = loss;
    const asked = performance.now();
    const answers = await this.prompts.answer(this.step, model, step.adapter);
    this.speeds.answered(answers.length, (performance.now() - asked) / 1000);
    for (const line of answers) await this.samples.append(line);
    if (step.reducer.evaluate(loss))
      this.emit({ kind: 'log', line: `Step ${this.step}: the held-out loss rose, the last selection is undone` });
    if (this.best.loss === null || loss < this.best.loss) {
      this.best = { loss, step: this.step, evaluationsSince: 0 };
      if (this.recipe.training.patience > 0) await this.writeResult('best');
    } else this.best.evaluationsSince++;
    return evaluation;
  }

  private isEarlyEnd(): boolean {
    const { patience } = this.recipe.training;
    return patience > 0 && this.best.evaluationsSince >= patience;
  }

  /** What so many steps take, with their evaluations. */
  private secondsFor(steps: number): number {
    const evaluations = this.ran.heldOut.count > 0 ? Math.ceil(steps / this.recipe.training.evalEvery) : 0;
    return this.time.left(steps, evaluations);
  }

  private async tell(
    report: StepReport,
    learningRate: number,
    stepSeconds: number,
    evaluation: Evaluation | undefined,
    withHeads: boolean,
  ): Promise<void> {
    const line = {
      step: this.step,
      loss: report.loss,
      learningRate,
      gradNorm: report.gradNorm,
      tokens: this.tokens,
      tokensPerSecond: report.units / stepSeconds,
      memory: engineMemoryBytes(),
      secondsLeft: this.secondsFor(this.ran.steps - this.step),
      ...(evaluation && {
        evalLoss: evaluation.loss,
        evalError: evaluation.error,
        evalExamples: evaluation.examples,
      }),
    };
    await this.metrics.append(line);
    this.emit({ kind: 'metrics', line });
    if (!withHeads) return;
    const { adapter, reducer } = this.ran.step;
    const byName = (values: ArrayLike<number>) =>
      Object.fromEntries(
        adapter.heads.flatMap((name, i) => (Number.isNaN(values[i]) ? [] : [[name, values[i]!] as const])),
      );
    const heads = {
      step: this.step,
      importance: byName(reducer.importance),
      frozen: report.frozen,
      routerShare: report.routerShare ? byName(report.routerShare) : {},
    };
    await this.heads.append(heads);
    this.emit({ kind: 'heads', line: heads });
  }

  private checkpoint(order = this.data.state): Promise<void> {
    return this.clock.write(() => this.writeCheckpoint(order));
  }

  private async writeCheckpoint(order: Checkpoint['order']): Promise<void> {
    const { adapter, optimizer, reducer } = this.ran.step;
    this.control.doing = 'the data to be read to its end';
    await this.data.whole();
    await this.lock.check();
    this.control.doing = `the checkpoint of step ${this.step} to be written`;
    this.emit({ kind: 'checkpointing', step: this.step });
    await this.metrics.sync();
    await this.heads.sync();
    await this.samples.sync();
    const checkpoint: Checkpoint<HeldTensor> = {
      step: this.step,
      adapter: adapter.held,
      optimizer: optimizer.exportState(),
      reducer: reducer.exportState(),
      order,
      tokens: this.tokens,
      telemetryBytes: { metrics: this.metrics.length, heads: this.heads.length, samples: this.samples.length },
      best: this.best,
      last: this.last,
      seconds: this.seconds,
      described: await describeAdapter(this.toWrite()),
    };
    const { keepCheckpoints } = this.recipe.training;
    const onPiece = () => this.emit({ kind: 'alive' });
    await writeCheckpoint(this.checkpoints, checkpoint, keepCheckpoints, onPiece);
    giveBackMemory();
    this.emit({ kind: 'checkpoint', step: this.step });
  }

  private get checkpoints(): string {
    return path.join(this.folder, 'checkpoints');
  }

  private toWrite(): AdapterToWrite {
    const { file, datasets, step } = this.ran;
    const metrics = { steps: this.step, ...this.last, seconds: this.seconds };
    const { adapter, reducer } = step;
    return { adapter, reducer, file, datasets, recipe: this.recipe, metrics };
  }

  private async writeResult(subfolder?: string): Promise<void> {
    await this.data.whole();
    await this.lock.check();
    this.control.doing = 'the adapter to be written';
    await writeAdapter(subfolder ? path.join(this.folder, subfolder) : this.folder, this.toWrite());
  }

  private async end(reason: RunSummary['reason']): Promise<RunSummary> {
    if (this.step > 0) await this.checkpoint();
    const best = path.join(this.folder, 'best');
    const keepsBest = this.recipe.training.patience > 0 && this.best.loss !== null && this.best.step < this.step;
    if (keepsBest) {
      await this.lock.check();
      await copyPair(best, this.folder);
      this.last.evalLoss = this.best.loss;
    } else await this.writeResult();
    // What can still be resumed has its last one; to fall back on an older one, there is nothing left to do.
    await pruneCheckpoints(this.checkpoints, 1);
    return this.summary(reason);
  }

  private summary(reason: RunSummary['reason']): RunSummary {
    const { reducer, adapter } = this.ran.step;
    return {
      folder: this.folder,
      step: this.step,
      steps: this.ran.steps,
      reason,
      ...this.last,
      seconds: this.seconds,
      frozenHeads: reducer.frozen.length,
      heads: adapter.heads.length,
    };
  }
}
