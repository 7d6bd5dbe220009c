import { DataOrder, type OrderState } from '../data/order.ts';
import { logData, type Run } from './prepare.ts';
import type { Recipe } from '../recipe/recipe.ts';

/** What a run's steps learn from, one after the other. */
export class StepData {
  private readonly order: DataOrder;
  private readonly orderFrom: (state?: OrderState) => DataOrder;

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
    const known = growing ? undefined : sizes;
    const arrange = arranged?.(batch);
    this.orderFrom = (state) => new DataOrder(known, weights, seed, shuffle, state, arrange);
    this.order = this.orderFrom(from);
  }

  /** The micro-batches of all steps from `step` to `last`, as `next` will give them; where it stands does not change. */
  async *ahead(step: number, last: number): AsyncGenerator {
    const order = this.orderFrom(this.state);
    for (; step <= last; step++)
      for (let micro = 0; micro < this.recipe.training.accumulate; micro++) yield this.batch(order, step, micro);
  }

  get state(): OrderState {
    return this.order.state;
  }

  /** The micro-batches of the next step, of this number, once their examples were read. */
  async next(step: number): Promise<unknown[]> {
    const { batch, accumulate } = this.recipe.training;
    await this.untilRead(batch * accumulate);
    const batches: unknown[] = [];
    for (let micro = 0; micro < accumulate; micro++) batches.push(await this.batch(this.order, step, micro));
    return batches;
  }

  private async batch(order: DataOrder, step: number, micro: number): Promise<unknown> {
    const { task, data } = this.run;
    const { training } = this.recipe;
    const chosen = order.next(training.batch).map((index) => data.train.read(index));
    return task.batch(chosen, training, { seed: training.seed, step, micro });
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
