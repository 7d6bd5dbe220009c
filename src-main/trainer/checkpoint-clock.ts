/** Writing checkpoints because of the time takes at most one part in so many of it. */
const COST_LIMIT = 50;

/** When a checkpoint is due by the time, whatever the steps take. */
export class CheckpointClock {
  private last: number;
  private cost = 0;

  /** @param every seconds; `now` tells the time in seconds */
  constructor(
    private readonly every: number,
    private readonly now = () => performance.now() / 1000,
  ) {
    this.last = this.now();
  }

  get isDue(): boolean {
    return this.now() - this.last >= Math.max(this.every, COST_LIMIT * this.cost);
  }

  /** Runs what writes a checkpoint and takes its time. */
  async write(work: () => Promise<void>): Promise<void> {
    const started = this.now();
    await work();
    this.last = this.now();
    this.cost = this.last - started;
  }
}
