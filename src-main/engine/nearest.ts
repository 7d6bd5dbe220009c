/** Levenshtein's distance, case ignored. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          row[j]! + 1,
          next[j - 1]! + 1,
          row[j - 1]! + Number(a[i - 1]!.toLowerCase() !== b[j - 1]!.toLowerCase()),
        ),
      );
    row = next;
  }
  return row[b.length]!;
}

/** The candidate nearest to what was written. */
export function nearest(written: string, candidates: readonly string[]): string {
  return [...candidates].sort((a, b) => editDistance(written, a) - editDistance(written, b))[0]!;
}
