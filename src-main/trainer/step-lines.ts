import { engineMemoryBytes } from '../engine/memory.ts';
import type { Evaluation } from '../tasks/task.ts';
import type { RunContext } from './run-context.ts';
import type { RunLines } from './run-lines.ts';
import type { StepReport } from './step.ts';

/** Runs of this many steps or more write heads.jsonl every tenth step unless told otherwise. */
const MANY_STEPS = 1000;

/** What is told of a step. */
interface Told {
  report: StepReport;
  learningRate: number;
  /** of the step alone */
  seconds: number;
  /** of the run */
  secondsLeft: number;
  evaluation?: Evaluation;
}

/** Writes a run's steps into metrics.jsonl and heads.jsonl, and tells of them. */
export class StepLines {
  constructor(
    private readonly at: RunContext,
    private readonly lines: RunLines,
  ) {}

  /** Whether a line of heads is written of a step. */
  haveHeads(step: number): boolean {
    const { recipe, run } = this.at;
    const every = recipe.training.headsEvery ?? (run.steps < MANY_STEPS ? 1 : 10);
    return step % every === 0 || step === run.steps;
  }

  /** Of the step that was done last. */
  async write({ report, learningRate, seconds, secondsLeft, evaluation }: Told, withHeads: boolean): Promise<void> {
    const { tell, progress } = this.at;
    const line = {
      step: progress.step,
      loss: report.loss,
      learningRate,
      gradNorm: report.gradNorm,
      tokens: progress.tokens,
      tokensPerSecond: report.units / seconds,
      memory: await engineMemoryBytes(),
      secondsLeft,
      ...(evaluation && {
        evalLoss: evaluation.loss,
        evalError: evaluation.error,
        evalExamples: evaluation.examples,
      }),
    };
    await this.lines.metrics.append(line);
    tell({ kind: 'metrics', line });
    if (withHeads) await this.writeHeads(report);
  }

  private async writeHeads({ frozen, routerShare }: StepReport): Promise<void> {
    const { tell, run, progress } = this.at;
    const { adapter, reducer } = run.step;
    const byName = (values: ArrayLike<number>) =>
      Object.fromEntries(
        adapter.heads.flatMap((name, i) => (Number.isNaN(values[i]) ? [] : [[name, values[i]!] as const])),
      );
    const line = {
      step: progress.step,
      importance: byName(reducer.importance),
      frozen,
      routerShare: routerShare ? byName(routerShare) : {},
    };
    await this.lines.heads.append(line);
    tell({ kind: 'heads', line });
  }
}
