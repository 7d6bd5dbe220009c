/** How many training steps an engine is tried with. */
export const STEPS = 3;

/** Training steps as far as they got. */
export interface StepsSoFar {
  /** of each step that was done */
  seconds: number[];
  predictedBytes: number;
  /** none before the first step's end */
  measuredBytes?: number;
}
