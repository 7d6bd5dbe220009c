import { layerOfHead } from './methods/structure.ts';
import { frozenPrefix } from './prefix.ts';
import { freezeFirst, freezeOrder, ratioAt, selects } from './selection.ts';
import type { ParameterBudget } from './resource-constraint.ts';
import type { HeadName, ReducerOptions } from './types.ts';

/** Everything a resumed run needs; JSON keeps it exactly. */
export interface ReducerState {
  importance: number[];
  /** the step after which a frozen head froze; null while it is active */
  frozenSince: (number | null)[];
  /** so many layers from the bottom are frozen whole; absent in states written before there was the policy prefix */
  frozenLayers?: number;
  /** in force now; lowered by the performance constraint */
  ratio: number;
  performance: { smoothed: number | null; best: number | null; beforeSelection: Selection | null };
}

interface Selection {
  frozenSince: (number | null)[];
  frozenLayers?: number;
  /** best smoothed held-out loss before the selection */
  best: number | null;
}

/** Weight of the newest held-out loss in its smoothed value. */
const EVALUATION_WEIGHT = 0.5;
/** Of policy prefix. */
const IMPORTANCE_AT_MOST = 0.5;
/** An undone selection takes the ratio down to this share of it. */
const RATIO_AFTER_UNDO = 0.75;

/**
 * Freezes the heads the loss is least sensitive to (docs/method.md, Reducer). The order of a step:
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
  readonly #layers: readonly number[];
  #frozenSince: (number | null)[];
  #frozenLayers = 0;
  #ratio: number;
  #performance: ReducerState['performance'] = { smoothed: null, best: null, beforeSelection: null };

  /** @param budget so many numbers train at most, from the first selection on; of schedule cubic from its end on */
  constructor(
    heads: readonly HeadName[],
    headsPerSite: number,
    options: ReducerOptions,
    readonly budget?: ParameterBudget,
  ) {
    this.heads = heads;
    this.options = options;
    this.importance = new Float64Array(heads.length);
    this.#headsPerSite = headsPerSite;
    this.#layers = heads.map(layerOfHead);
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

  /** Policy prefix: the layers 0..k-1 that are frozen whole, heads and routers. */
  get frozenLayers(): number {
    return this.#frozenLayers;
  }

  isLayerFrozen(layer: number): boolean {
    return layer < this.#frozenLayers;
  }

  /** So many layers from the bottom have no backward pass in `step`: none where frozen heads are observed. */
  layersWithoutBackward(step: number): number {
    return this.#probes(step) ? 0 : this.#frozenLayers;
  }

  #probes(step: number): boolean {
    return this.options.probe && selects(this.options, step);
  }

  frozenSince(head: number): number | null {
    return this.#frozenSince[head]!;
  }

  get frozen(): HeadName[] {
    return this.heads.filter((_, head) => this.isFrozen(head));
  }

  /** Which heads get a gradient in `step`: all but the frozen ones, and with `probe` those too at selection steps. 1 or 0 each. */
  observed(step: number): Float32Array {
    const probing = this.#probes(step);
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
    const [frozenSince, frozenLayers] = [[...this.#frozenSince], this.#frozenLayers];
    this.#performance.beforeSelection = { frozenSince, frozenLayers, best: this.#performance.best };
    const ratio = ratioAt(this.options, this.#ratio, step);
    const excess = this.budget && {
      numbers: ratioAt(this.options, this.budget.excess, step),
      sizes: this.budget.sizes,
    };
    this.#frozenLayers = this.#prefix(Math.max(ratio, (excess?.numbers ?? 0) / (this.budget?.all ?? 1)));
    const order = freezeOrder(this.importance, this.options, step);
    // Whole layers go first, the rest of the ratio by importance.
    const first = order.filter((head) => this.isLayerFrozen(this.#layers[head]!));
    const rest = order.filter((head) => !this.isLayerFrozen(this.#layers[head]!));
    const frozen = freezeFirst([...first, ...rest], ratio, this.#headsPerSite, this.options.minActivePerSite, excess);
    this.#frozenSince = this.#frozenSince.map((since, head) => (frozen.has(head) ? (since ?? step) : null));
    return true;
  }

  #prefix(ratio: number): number {
    const { policy, importanceAtMost = IMPORTANCE_AT_MOST } = this.options;
    if (policy !== 'prefix') return 0;
    const heads = Math.floor(ratio * this.heads.length);
    return frozenPrefix(this.importance, { layers: this.#layers, heads, importanceAtMost });
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
      this.#frozenLayers = last.frozenLayers ?? 0;
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
      frozenLayers: this.#frozenLayers,
      ratio: this.#ratio,
      performance: this.#performance,
    });
  }

  importState(state: ReducerState): void {
    const { importance, frozenSince, frozenLayers = 0, ratio, performance } = structuredClone(state);
    this.importance.set(importance);
    this.#frozenSince = frozenSince;
    this.#frozenLayers = frozenLayers;
    this.#ratio = ratio;
    this.#performance = performance;
  }
}
