import type { LengthFacts } from './length-facts.ts';
import type { MemoryPlan, Precision, RunShape } from './memory-plan.ts';
import type { SeenFacts } from './seen.ts';
import type { AdapterOptions, ReducerOptions } from './types.ts';

// What the Configurator is given, and what it gives.

export interface DataFacts extends LengthFacts {
  examples: number;
  /** of them those that steps see, as others are held out; default: all */
  learned?: number;
  /** how many of them `clusters` is told from */
  sampled: number;
  /** kinds of task: the elbow of k-means over the examples' TF-IDF (HydraLoRA's procedure) */
  clusters: number;
  /** what they bring to be seen before the blocks */
  seen?: SeenFacts;
}

/** What the user gives. */
export interface Budget {
  memoryBytes: number;
  /** undefined: as long as it takes */
  seconds?: number;
  /** numbers that train at most from the first selection on (the Reducer's maxParameters); undefined: as many as do */
  parameters?: number;
  /** whether whole layers may freeze where the time is short (the Reducer's policy prefix) */
  mayFreezeLayers?: boolean;
}

export interface Reason {
  /** the choice explained, by its name in the recipe */
  choice: string;
  text: string;
}

/** A plan in a recipe's terms. */
export interface Proposal {
  method: AdapterOptions & { reducer: Pick<ReducerOptions, 'ratio' | 'warmup' | 'interval'> & { policy?: 'prefix' } };
  training: {
    steps: number;
    learningRate: number;
    schedule: 'cosine';
    /** evaluations without a better held-out loss before the run ends; 0: it goes on */
    patience: number;
    /** examples a micro-batch */
    batch: number;
    accumulate: number;
    sequenceLength: number;
    precision: Precision;
    /** blocks that backward computes again together; false: none */
    recompute: number | false;
  };
  reasons: Reason[];
  /** what to change where something had to give or does not fit */
  warnings: string[];
  fits: boolean;
  memory: MemoryPlan;
  seconds: number;
  /** trained at first */
  parameters: number;
}

/** A run with its examples a micro-batch. */
export type Candidate = RunShape & { batch: number };

/** How many steps, and how long they take. */
export interface TimePlan {
  steps: number;
  seconds: number;
  secondsAStep: number;
  /** how often what is learned from is seen */
  passes: number;
  /** whole layers freeze, as more steps can be had so */
  freezesLayers: boolean;
  fits: boolean;
  warnings: string[];
}
