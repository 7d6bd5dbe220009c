/** Learning rate of a step (1-based): a linear warm-up, then constant, or falling to 0 at the last step in a line or a half cosine. */
export function learningRateAt(
  step: number,
  {
    schedule,
    warmupSteps,
    learningRate,
  }: { schedule: 'constant' | 'linear' | 'cosine'; warmupSteps: number; learningRate: number },
  steps: number,
): number {
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  if (schedule === 'constant') return learningRate;
  const progress = (step - 1 - warmupSteps) / Math.max(1, steps - warmupSteps);
  return learningRate * (schedule === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress)));
}
