/**
 * Cosine of every row vector of `a` to every one of `b`, [a.length][b.length]; null where one of them is all zeros (a head that
 * was left out or never trained).
 */
export function cosines(a: readonly Float32Array[], b: readonly Float32Array[]): (number | null)[][] {
  const norms = (vectors: readonly Float32Array[]) => vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  const [rows, columns] = [norms(a), norms(b)];
  return a.map((vector, i) =>
    b.map((other, j) => (rows[i] === 0 || columns[j] === 0 ? null : dot(vector, other) / (rows[i]! * columns[j]!))),
  );
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
