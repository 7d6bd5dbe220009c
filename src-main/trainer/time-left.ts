/** Seconds a token are averaged over about this many steps. */
const STEPS = 20;
/** Steps after the first one until the speed counts as measured. */
const CALIBRATION_STEPS = 3;

/** How long a run still takes: from its own steps, by their tokens, and its evaluations. The first step, which compiles, counts for little. */
export class TimeLeft {
  private steps = 0;
  private seconds = 0;
  /** of these, what later steps needn't do again */
  private readySeconds = 0;
  private tokens = 0;
  private evaluationSeconds = 0;

  /** `tokensAStep`: of a step to come, on average */
  constructor(readonly tokensAStep: number) {}

  step(seconds: number, tokens: number, readySeconds = 0): void {
    // the first step stands in until there is another
    const keep = this.steps <= 1 ? 0 : 1 - 1 / STEPS;
    this.steps++;
    this.seconds = keep * this.seconds + seconds;
    this.readySeconds = keep * this.readySeconds + readySeconds;
    this.tokens = keep * this.tokens + tokens;
  }

  evaluation(seconds: number): void {
    this.evaluationSeconds = seconds;
  }

  /** Seconds a token, less what is done once, when three steps after the first one are through; undefined before. */
  get calibrated(): number | undefined {
    return this.steps > CALIBRATION_STEPS ? (this.seconds - this.readySeconds) / this.tokens : undefined;
  }

  left(steps: number, evaluations: number): number {
    if (this.steps === 0) return 0;
    return (steps * this.tokensAStep * this.seconds) / this.tokens + evaluations * this.evaluationSeconds;
  }
}
