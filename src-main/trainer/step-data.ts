import { DataOrder, type OrderState } from '../data/order.ts';
import { logData, type Run } from './prepare.ts';
import type { Recipe } from '../recipe/recipe.ts';

/** What a run's steps learn from, one after the other. */
export class StepData {
  private readonly order: DataOrder;

  /** @param from where a resumed run stands */
  constructor(
    private readonly recipe: Recipe,
    private readonly run: Run,
    private readonly log: (line: string) => void,
    from?: OrderState,
  ) {
    const weights = recipe.dataset.map(({ weight }) => weight);
    const { seed, shuffle } = recipe.training;
    this.order = new DataOrder(run.data.growing ? undefined : run.data.sizes, weights, seed, shuffle, from);
  }

  get state(): OrderState {
    return this.order.state;
  }

  /** The micro-batches of the next step, once their examples were read. */
  async next(): Promise<unknown[]> {
    const { task, data } = this.run;
    const { training } = this.recipe;
    const { batch, accumulate } = training;
    await this.untilRead(batch * accumulate);
    const batches: unknown[] = [];
    for (let i = 0; i < accumulate; i++) {
      const chosen = this.order.next(batch).map((index) => data.train.read(index));
      batches.push(await task.batch(chosen, training));
    }
    return batches;
  }

  private async untilRead(more: number): Promise<void> {
    const { growing } = this.run.data;
    if (!growing || this.order.isKnown) return;
    const { epoch, taken } = this.order.state;
    await growing.upTo(epoch > 0 ? Infinity : taken + more);
    if (growing.isWhole) await this.whole();
  }

  /** Until all data was read: checkpoints and results tell of the whole. @throws UserError where too many rows are lost */
  async whole(): Promise<void> {
    const { growing, datasets } = this.run.data;
    if (!growing || this.order.isKnown) return;
    const { facts, count } = await growing.whole();
    datasets.push(facts);
    this.order.know([count]);
    logData(this.run.data, this.log);
  }
}
