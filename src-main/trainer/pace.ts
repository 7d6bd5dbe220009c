import { MOST_FROZEN, StepTimeConstraint } from '../effilora/resource-constraint.ts';
import { selects } from '../effilora/selection.ts';
import type { RunContext } from './run-context.ts';

/** Of a new number of frozen layers the first steps are compiled, which is no time of a step. */
const COMPILED = 1;

/** Keeps a run's steps within the seconds that its recipe asks for, by the share of heads that freeze. */
export class Pace {
  private readonly constraint?: StepTimeConstraint;
  /** steps since the frozen layers became others */
  private steps = 0;

  constructor(private readonly at: RunContext) {
    const { recipe, run } = at;
    const { maxStepSeconds } = recipe.method.reducer;
    if (maxStepSeconds !== undefined)
      this.constraint = new StepTimeConstraint(maxStepSeconds, run.step.adapter.heads.length);
  }

  /** Where `step` selects, it does so by the ratio that the steps before it ask for. */
  beforeStep(step: number): void {
    const { run, recipe, tell } = this.at;
    const { reducer } = run.step;
    if (!this.constraint || !selects(reducer.options, step)) return;
    const active = reducer.heads.length - reducer.frozen.length;
    const found = this.constraint.ratio(active, recipe.method.reducer.ratio);
    this.steps = 0;
    if (!found) return;
    reducer.ratio = found.ratio;
    const [took, most] = [found.seconds, this.constraint.most].map((seconds) => Number(seconds.toPrecision(3)));
    const line = `Step ${step}: a step took ${took} s, at most ${most} s are asked for; ${Math.round(100 * found.ratio)} % of the heads freeze from here on`;
    tell({ kind: 'log', line });
    if (!found.isMet && active <= reducer.heads.length * (1 - MOST_FROZEN) + 1)
      tell({ kind: 'log', line: 'Freezing alone does not make steps shorter than that: lower training.batch, training.sequenceLength or method.targets' }); // prettier-ignore
  }

  afterStep(step: number, seconds: number): void {
    // At a selection every head is looked at.
    if (selects(this.at.run.step.reducer.options, step)) return;
    this.steps += 1;
    if (this.steps > COMPILED) this.constraint?.took(seconds);
  }
}
