import { freezeFirst, freezeOrder, ratioAt, selects } from './selection.ts';
import type { HeadName, ReducerOptions } from './types.ts';

/** Everything a resumed run needs; JSON keeps it exactly. */
export interface ReducerState {
  importance: number[];
  /** the step after which a frozen head froze; null while it is active */
  frozenSince: (number | null)[];
  /** in force now; lowered by the performance constraint */
  ratio: number;
  performance: { smoothed: number | null; best: number | null; beforeSelection: Selection | null };
}

interface Selection {
  frozenSince: (number | null)[];
  /** best smoothed held-out loss before the selection */
  best: number | null;
}

/** Weight of the newest held-out loss in its smoothed value. */
const EVALUATION_WEIGHT = 0.5;
/** An undone selection takes the ratio down to this share of it. */
const RATIO_AFTER_UNDO = 0.75;

/**
 * Freezes the heads the loss is least sensitive to (METHOD.md, Reducer). The order of a step:
 *
 *     gradients of `observed(step)` heads -> observe(step, sensitivity) -> update of the heads not `isFrozen` -> select(step)
 *
 * Steps count from 1; heads by their index in `heads` (layer, site, head: the order that breaks ties).
 */
export class Reducer {
  readonly heads: readonly HeadName[];
  readonly options: ReducerOptions;
  readonly importance: Float64Array;
  readonly #headsPerSite: number;
  #frozenSince: (number | null)[];
  #ratio: number;
  #performance: ReducerState['performance'] = { smoothed: null, best: null, beforeSelection: null };

  constructor(heads: readonly HeadName[], headsPerSite: number, options: ReducerOptions) {
    this.heads = heads;
    this.options = options;
    this.importance = new Float64Array(heads.length);
    this.#headsPerSite = headsPerSite;
    this.#frozenSince = heads.map(() => null);
    this.#ratio = options.ratio;
  }

  get ratio(): number {
    return this.#ratio;
  }

  /** Changes the ratio while a run is under way; in force from the next selection. */
  set ratio(ratio: number) {
    this.#ratio = ratio;
  }

  isFrozen(head: number): boolean {
    return this.#frozenSince[head] !== null;
  }

  frozenSince(head: number): number | null {
    return this.#frozenSince[head]!;
  }

  get frozen(): HeadName[] {
    return this.heads.filter((_, head) => this.isFrozen(head));
  }

  /** Which heads get a gradient in `step`: all but the frozen ones, and with `probe` those too at selection steps. 1 or 0 each. */
  observed(step: number): Float32Array {
    const probing = this.options.probe && selects(this.options, step);
    return Float32Array.from(this.heads, (_, head) => Number(probing || !this.isFrozen(head)));
  }

  /** importance_t = beta * importance_{t-1} + (1 - beta) * s_t for every head that has a gradient; the others' is held. */
  observe(step: number, sensitivity: ArrayLike<number>): void {
    const { beta } = this.options;
    this.observed(step).forEach((observed, head) => {
      if (!observed) return;
      this.importance[head] = beta * this.importance[head]! + (1 - beta) * sensitivity[head]!;
    });
  }

  /** After the update of `step`. Says whether the frozen set was chosen anew. */
  select(step: number): boolean {
    if (!selects(this.options, step)) return false;
    this.#performance.beforeSelection = { frozenSince: [...this.#frozenSince], best: this.#performance.best };
    const order = freezeOrder(this.importance, this.options, step);
    const ratio = ratioAt(this.options, this.#ratio, step);
    const frozen = freezeFirst(order, ratio, this.#headsPerSite, this.options.minActivePerSite);
    this.#frozenSince = this.#frozenSince.map((since, head) => (frozen.has(head) ? (since ?? step) : null));
    return true;
  }

  /**
   * Performance constraint: a held-out loss, smoothed, more than `tolerance` above its best before the last selection undoes
   * that selection and lowers the ratio. Says whether it did.
   */
  evaluate(heldOutLoss: number): boolean {
    const performance = this.#performance;
    const before = performance.smoothed ?? heldOutLoss;
    performance.smoothed = before + EVALUATION_WEIGHT * (heldOutLoss - before);
    const { tolerance } = this.options;
    const last = performance.beforeSelection;
    if (
      tolerance !== undefined &&
      last !== null &&
      last.best !== null &&
      performance.smoothed > last.best + tolerance
    ) {
      this.#frozenSince = last.frozenSince;
      this.#ratio *= RATIO_AFTER_UNDO;
      // The undone selection's losses say nothing about the one before it.
      this.#performance = { smoothed: null, best: last.best, beforeSelection: null };
      return true;
    }
    performance.best = Math.min(performance.best ?? Infinity, performance.smoothed);
    return false;
  }

  exportState(): ReducerState {
    return structuredClone({
      importance: [...this.importance],
      frozenSince: this.#frozenSince,
      ratio: this.#ratio,
      performance: this.#performance,
    });
  }

  importState(state: ReducerState): void {
    const { importance, frozenSince, ratio, performance } = structuredClone(state);
    this.importance.set(importance);
    this.#frozenSince = frozenSince;
    this.#ratio = ratio;
    this.#performance = performance;
  }
}
