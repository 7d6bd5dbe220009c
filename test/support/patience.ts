/** So long a test waits for what it waits for, milliseconds: a click, a text, a run's state. Only what hangs takes longer. */
export const PATIENCE_MS = 120_000;
