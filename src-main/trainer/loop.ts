import { sizesOf } from '../data/example-source.ts';
import { UserError } from '../engine/types.ts';
import { DeviceError } from '../engine/device-error.ts';
import { beforehand } from './beforehand.ts';
import type { Checkpoint } from './checkpoints.ts';
import { Evaluations } from './evaluations.ts';
import type { RunSummary } from './events.ts';
import { giveBackMemory } from './give-back-memory.ts';
import { Keeper } from './keeper.ts';
import { progressFrom, type RunContext } from './run-context.ts';
import { Pace } from './pace.ts';
import { RunLines } from './run-lines.ts';
import { RunSpeeds } from './run-speeds.ts';
import { learningRateAt } from './schedules.ts';
import { StepData } from './step-data.ts';
import { StepLines } from './step-lines.ts';
import { TimeLeft } from './time-left.ts';

/** Steps between two collections of the host's garbage. */
const COLLECT_STEPS = 25;

/** A run under way. */
export class Loop {
  /** the step that this process began with */
  private first = 1;

  private constructor(
    private readonly at: RunContext,
    private readonly data: StepData,
    private readonly lines: RunLines,
    private readonly keeper: Keeper,
    private readonly evaluations: Evaluations,
    private readonly stepLines: StepLines,
    private readonly speeds: RunSpeeds,
    private readonly time: TimeLeft,
    private readonly pace: Pace,
  ) {}

  /** @param from where a resumed run goes on */
  static async open(training: Omit<RunContext, 'progress'>, from: Checkpoint | undefined): Promise<Loop> {
    const at = { ...training, progress: progressFrom(from) };
    const { recipe, folder, run, tell } = at;
    if (from) restore(run.step, from);
    const data = new StepData(recipe, run, (line) => tell({ kind: 'log', line }), from?.order);
    const lines = await RunLines.open(folder, from?.telemetryBytes);
    const keeper = new Keeper(at, data, lines);
    const { precision: products, batch, accumulate } = recipe.training;
    const speeds = new RunSpeeds({ ...run, products });
    const tokens = sizesOf(run.data.train).reduce((sum, size) => sum + size, 0);
    const time = new TimeLeft((batch * accumulate * tokens) / run.data.train.count);
    const evaluations = new Evaluations(at, lines, keeper, speeds);
    return new Loop(at, data, lines, keeper, evaluations, new StepLines(at, lines), speeds, time, new Pace(at));
  }

  close(): Promise<void> {
    return this.lines.close();
  }

  async run(): Promise<RunSummary> {
    const { recipe, lock, control, tell, run, progress } = this.at;
    const { steps, engine, step } = run;
    tell({
      kind: 'started',
      steps,
      step: progress.step,
      heads: step.adapter.heads.length,
      engine: engine.name,
      unit: run.task.unit,
    });
    control.isStepping = true;
    if (!control.asked) await beforehand(this.at, this.data);
    if (progress.step === 0 && !control.asked) await this.start();
    this.first = progress.step + 1;
    while (progress.step < steps && !this.evaluations.isEarlyEnd) {
      // Lets messages in.
      await new Promise((resolve) => setImmediate(resolve));
      await lock.check();
      this.takeRatio();
      this.pace.beforeStep(progress.step + 1);
      if (control.asked === 'pause') return this.pause();
      if (control.asked === 'stop') return this.end('stopped');
      await this.oneStep();
      if (progress.step === this.first) tell({ kind: 'log', line: 'The first step is done' });
      const isDue = progress.step % recipe.training.checkpointEvery === 0 || this.keeper.isDue;
      if (isDue && progress.step < steps) await this.keeper.checkpoint();
      if (progress.step % COLLECT_STEPS === 0) giveBackMemory();
    }
    // The one before the first step is an evaluation, too.
    if (progress.step === steps && this.first === 1)
      await this.speeds.beside(this.secondsFor(steps) + this.time.left(0, 1));
    return this.end(progress.step < steps ? 'early' : 'finished');
  }

  private async start(): Promise<void> {
    const seconds = await this.evaluations.start();
    if (seconds === undefined) return;
    this.time.evaluation(seconds);
    this.at.progress.seconds += seconds;
  }

  private takeRatio(): void {
    const { control, tell, run, progress } = this.at;
    const { ratio } = control;
    if (ratio === undefined) return;
    run.step.reducer.ratio = ratio;
    control.ratio = undefined;
    tell({ kind: 'log', line: `Step ${progress.step}: the Reducer's ratio is ${ratio} from the next selection on` });
  }

  private async oneStep(): Promise<void> {
    const { recipe, folder, lock, control, run, progress } = this.at;
    const started = performance.now();
    const number = progress.step + 1;
    control.doing = `step ${number} to end`;
    const learningRate = learningRateAt(number, recipe.training, run.steps);
    const before = this.data.state;
    const batches = await this.data.next(number);
    const withHeads = this.stepLines.haveHeads(number);
    run.step.options.routerShare = withHeads;
    const report = await run.step.run(number, batches, learningRate).catch(async (error: unknown) => {
      throw await this.keepLastGood(error, before);
    });
    if (!Number.isFinite(report.gradNorm))
      throw new UserError(
        `The gradients of step ${number} are no numbers; a checkpoint in ${folder} is from before it and good. Lower the learning rate, or look for broken examples in the dataset.`,
      );
    await lock.check();
    progress.step = number;
    progress.last.loss = report.loss;
    progress.tokens = { label: progress.tokens.label + report.terms, all: progress.tokens.all + report.units };
    const secondsSince = () => (performance.now() - started) / 1000;
    const seconds = secondsSince();
    this.time.step(seconds, report.units, report.readySeconds);
    await this.speeds.steps(this.time);
    this.pace.afterStep(number, seconds);
    const evaluation = await this.evaluations.ifDue();
    if (evaluation) this.time.evaluation(secondsSince() - seconds);
    progress.seconds += secondsSince();
    const secondsLeft = this.secondsFor(run.steps - progress.step);
    await this.stepLines.write({ report, learningRate, seconds, secondsLeft, evaluation }, withHeads);
  }

  /** A loss that is no number has updated nothing: the state before this step is worth keeping. Returns what to throw. */
  private async keepLastGood(error: unknown, orderBefore: Checkpoint['order']): Promise<unknown> {
    const { folder, progress } = this.at;
    // From a lost device nothing can be read: the checkpoint on disk is what there is.
    if (!(error instanceof UserError) || error instanceof DeviceError || progress.step === 0) return error;
    await this.keeper.checkpoint(orderBefore);
    return new UserError(`${error.message} The state of step ${progress.step} is kept in ${folder}.`);
  }

  /** What so many steps take, with their evaluations. */
  private secondsFor(steps: number): number {
    return this.time.left(steps, this.evaluations.in(steps));
  }

  private async pause(): Promise<RunSummary> {
    if (this.at.progress.step > 0) await this.keeper.checkpoint();
    return this.summary('paused');
  }

  private async end(reason: RunSummary['reason']): Promise<RunSummary> {
    if (this.at.progress.step > 0) await this.keeper.checkpoint();
    await this.keeper.result();
    this.tellRanks();
    return this.summary(reason);
  }

  /** What a method that chooses ranks has chosen. */
  private tellRanks(): void {
    const { run, tell } = this.at;
    const ranks = run.step.allocator?.ranks;
    if (!ranks) return;
    const mean = ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length;
    tell({ kind: 'log', line: `Ranks chosen: ${Math.min(...ranks)} to ${Math.max(...ranks)} a place, ${mean.toFixed(1)} on the mean` }); // prettier-ignore
  }

  private summary(reason: RunSummary['reason']): RunSummary {
    const { folder, run, progress } = this.at;
    const { reducer, adapter } = run.step;
    return {
      folder,
      step: progress.step,
      steps: run.steps,
      reason,
      ...progress.last,
      seconds: progress.seconds,
      frozenHeads: reducer.frozen.length,
      heads: adapter.heads.length,
    };
  }
}

function restore({ adapter, optimizer, reducer, allocator }: RunContext['run']['step'], from: Checkpoint): void {
  adapter.import(from.adapter);
  optimizer.importState(from.optimizer);
  reducer.importState(from.reducer);
  if (from.ranks) allocator?.importState(from.ranks, from.optimizer.moments);
}
