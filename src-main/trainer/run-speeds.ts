import type { Products } from '../engine/products.ts';
import type { EngineStatus } from '../engine/types.ts';
import type { RunCost, Task } from '../tasks/task.ts';
import { keepSpeed, SMALLEST_STEP_FLOPS } from './machine-speed.ts';
import type { TimeLeft } from './time-left.ts';

/** What of a run says how fast the machine is. */
interface Measured {
  engine: EngineStatus;
  products: Products;
  /** floating-point operations of a step for each of its units */
  flopsPerUnit: number;
  task: Pick<Task, 'unit'>;
  cost: Pick<RunCost, 'seenFlops' | 'sampleFlops' | 'blocks'>;
  /** when the run began to load, as performance.now() says */
  begun: number;
}

/** What a run measures of the machine, for the plans to come. */
export class RunSpeeds {
  /** floating-point operations a second, once the steps have told */
  private reached?: number;
  private isSmallKept = false;
  private answers = { count: 0, seconds: 0 };

  constructor(private readonly run: Measured) {}

  /** What the first steps reach, once they are through. */
  async steps({ calibrated, tokensAStep }: TimeLeft): Promise<void> {
    const { engine, products, flopsPerUnit, task } = this.run;
    if (this.reached !== undefined || this.isSmallKept || calibrated === undefined) return;
    if (flopsPerUnit * tokensAStep < SMALLEST_STEP_FLOPS) {
      this.isSmallKept = true;
      // plans for texts ask for other steps' speed alone
      if (task.unit === 'pictures') await keepSpeed(engine, 'small-steps', flopsPerUnit / calibrated, task.unit);
      return;
    }
    this.reached = flopsPerUnit / calibrated;
    await keepSpeed(engine, products, this.reached, task.unit);
  }

  /** So many sample answers took so long. Not those before the first step: graphs were compiled for them. */
  answered(count: number, seconds: number): void {
    this.answers.count += count;
    this.answers.seconds += seconds;
  }

  /**
   * What a run from its first step to its last took beside steps and losses, where its steps said something of the machine.
   * @param worked seconds that its steps and evaluations explain at the speed they had when they were under way
   */
  async beside(worked: number): Promise<void> {
    if (this.reached === undefined) return;
    const { engine, cost, begun, task } = this.run;
    const { count, seconds } = this.answers;
    // As if each were of full length: that answers end early is a saving that a plan may reckon with.
    const writing = seconds - (count * cost.seenFlops) / this.reached;
    if (writing > 0) await keepSpeed(engine, 'answers', (count * cost.sampleFlops) / writing, task.unit);
    const setUp = (performance.now() - begun) / 1000 - worked;
    if (setUp > 0) await keepSpeed(engine, 'set-up', cost.blocks / setUp, task.unit);
  }
}
