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
    const { seed, shuffle, batch } = recipe.training;
    const { growing, sizes, arranged } = run.data;
    this.order = new DataOrder(growing ? undefined : sizes, weights, seed, shuffle, from, arranged?.(batch));
  }

  get state(): OrderState {
    return this.order.state;
  }

  /** The micro-batches of the next step, of this number, once their examples were read. */
  async next(step: number): Promise<unknown[]> {
    const { task, data } = this.run;
    const { training } = this.recipe;
    const { batch, accumulate, seed } = training;
    await this.untilRead(batch * accumulate);
    const batches: unknown[] = [];
    for (let micro = 0; micro < accumulate; micro++) {
      const chosen = this.order.next(batch).map((index) => data.train.read(index));
      batches.push(await task.batch(chosen, training, { seed, step, micro }));
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
