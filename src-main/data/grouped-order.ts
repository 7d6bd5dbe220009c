/**
 * An order in which examples that come together, `batch` at a time, are of one group: as the order has them, each batch where its last
 * example stands. A group whose last batch isn't full fills it with the examples of it that were seen longest ago, so that an epoch is whole
 * batches.
 */
export function groupedOrder(order: number[], groupOf: (index: number) => number, batch: number): number[] {
  const all = new Map<number, number[]>();
  const out: number[] = [];
  for (const index of order) {
    const group = groupOf(index);
    const own = all.get(group) ?? [];
    all.set(group, own);
    own.push(index);
    if (own.length % batch === 0) for (const one of own.slice(-batch)) out.push(one);
  }
  for (const own of all.values()) {
    const rest = own.length % batch;
    if (rest === 0) continue;
    for (let i = 0; i < batch; i++) out.push(i < rest ? own[own.length - rest + i]! : own[(i - rest) % own.length]!);
  }
  return out;
}
