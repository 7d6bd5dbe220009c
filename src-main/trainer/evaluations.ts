import type { Evaluation, Samples } from '../tasks/task.ts';
import { keepsBest } from './checkpoints.ts';
import type { Keeper } from './keeper.ts';
import type { RunContext } from './run-context.ts';
import type { RunLines } from './run-lines.ts';
import type { RunSpeeds } from './run-speeds.ts';
import { keepSamples, measureStart } from './start.ts';

/** What a run is measured by: held-out loss and answers, again and again. */
export class Evaluations {
  private readonly samples: Samples;

  constructor(
    private readonly at: RunContext,
    private readonly lines: RunLines,
    private readonly keeper: Keeper,
    private readonly speeds: RunSpeeds,
  ) {
    const { run, recipe } = at;
    this.samples = run.task.samples(run.file, run.data.heldOut, recipe.training);
  }

  /** Later losses and answers are held against those before the first update. @returns its seconds; undefined: nothing is held out */
  async start(): Promise<number | undefined> {
    const { control, tell, run } = this.at;
    if (run.data.heldOut.count === 0) return undefined;
    control.doing = 'the model to be measured before the first step';
    tell({ kind: 'log', line: 'Measuring the model before the first step' });
    const { loss, seconds } = await measureStart(this.at, this.samples, this.lines.samples);
    tell({ kind: 'log', line: `Before training: held-out loss ${loss.toFixed(4)}` });
    return seconds;
  }

  /** After a step: held-out loss and answers where they are due. */
  async ifDue(): Promise<Evaluation | undefined> {
    const { recipe, control, tell, run, progress } = this.at;
    const { evalEvery } = recipe.training;
    const { task, data, model, step, steps } = run;
    if (data.heldOut.count === 0 || (progress.step % evalEvery !== 0 && progress.step !== steps)) return undefined;
    control.doing = `the evaluation after step ${progress.step}`;
    const evaluation = await task.evaluate(model, data.heldOut, step.adapter);
    const { loss } = evaluation;
    progress.last.evalLoss = loss;
    await this.ask();
    if (step.reducer.evaluate(loss))
      tell({ kind: 'log', line: `Step ${progress.step}: the held-out loss rose, the last selection is undone` });
    await this.compare(loss);
    return evaluation;
  }

  private async ask(): Promise<void> {
    const { run, progress } = this.at;
    const asked = performance.now();
    const keep = keepSamples(this.at);
    const answers = await this.samples.answer(progress.step, run.model, run.step.adapter, keep);
    this.speeds.answered(answers.length, (performance.now() - asked) / 1000);
    for (const line of answers) await this.lines.samples.append(line);
  }

  /** The adapter with the least held-out loss is kept where the run may end in it. */
  private async compare(loss: number): Promise<void> {
    const { recipe, progress } = this.at;
    if (progress.best.loss === null || loss < progress.best.loss) {
      progress.best = { loss, step: progress.step, evaluationsSince: 0 };
      if (keepsBest(recipe)) await this.keeper.best();
    } else progress.best.evaluationsSince++;
  }

  /** Whether the held-out loss stopped falling. */
  get isEarlyEnd(): boolean {
    const { patience } = this.at.recipe.training;
    return patience > 0 && this.at.progress.best.evaluationsSince >= patience;
  }

  /** How many there are in so many steps to come. */
  in(steps: number): number {
    const { run, recipe } = this.at;
    return run.data.heldOut.count > 0 ? Math.ceil(steps / recipe.training.evalEvery) : 0;
  }
}
