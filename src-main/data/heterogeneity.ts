import { randomStream, shuffled } from '../engine/random.ts';

/** How the within-cluster sum of squares falls with the number of clusters, and where it stops paying. */
export interface Heterogeneity {
  /** the suggested number of heads, N */
  clusters: number;
  /** sum of squared distances for k = 1, 2, ... */
  curve: number[];
}

const MAX_CLUSTERS = 8;
const MAX_EXAMPLES = 2000;
const VOCABULARY = 512;
const ROUNDS = 12;
const STARTS = 3;

type Vector = Float64Array;

/** TF-IDF over the most frequent words, each example's vector of length 1. */
export function tfidf(texts: string[]): Vector[] {
  const words = texts.map((text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  const documents = new Map<string, number>();
  for (const list of words) for (const word of new Set(list)) documents.set(word, (documents.get(word) ?? 0) + 1);
  const chosen = [...documents].filter(([, count]) => count > 1 && count < texts.length).sort((a, b) => b[1] - a[1]);
  const index = new Map(chosen.slice(0, VOCABULARY).map(([word], i) => [word, i]));
  return words.map((list) => {
    const vector = new Float64Array(Math.max(1, index.size));
    for (const word of list) {
      const i = index.get(word);
      if (i !== undefined) vector[i]! += Math.log(texts.length / documents.get(word)!);
    }
    const norm = Math.hypot(...vector) || 1;
    return vector.map((x) => x / norm);
  });
}

function squaredDistance(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** k-means++ starts, then Lloyd's rounds. Returns the sum of squared distances. */
function kMeans(vectors: Vector[], k: number, random: () => number): number {
  const centers = [vectors[Math.floor(random() * vectors.length)]!.slice()];
  const nearest = vectors.map((v) => squaredDistance(v, centers[0]!));
  while (centers.length < k) {
    let pick = random() * nearest.reduce((a, b) => a + b, 0);
    const found = nearest.findIndex((d) => (pick -= d) <= 0);
    const center = vectors[Math.max(0, found)]!.slice();
    centers.push(center);
    vectors.forEach((v, i) => (nearest[i] = Math.min(nearest[i]!, squaredDistance(v, center))));
  }
  let inertia = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const sums = centers.map((c) => new Float64Array(c.length));
    const counts = centers.map(() => 0);
    inertia = 0;
    for (const v of vectors) {
      const distances = centers.map((c) => squaredDistance(v, c));
      const best = distances.indexOf(Math.min(...distances));
      inertia += distances[best]!;
      counts[best]!++;
      for (let i = 0; i < v.length; i++) sums[best]![i]! += v[i]!;
    }
    centers.forEach((c, j) => counts[j] && c.forEach((_, i) => (c[i] = sums[j]![i]! / counts[j]!)));
  }
  return inertia;
}

/**
 * The number of heads from the data (HydraLoRA, arXiv 2404.19245): TF-IDF, k-means for k = 1..8, and the elbow: the k farthest
 * below the straight line between the curve's ends. At least 2, unless the examples don't differ.
 */
export function heterogeneity(texts: string[], seed = 0): Heterogeneity {
  const random = randomStream(seed, 'heterogeneity');
  const vectors = tfidf(shuffled(texts, random).slice(0, MAX_EXAMPLES));
  const most = Math.min(MAX_CLUSTERS, vectors.length);
  const curve = Array.from({ length: most }, (_, i) =>
    Math.min(...Array.from({ length: i === 0 ? 1 : STARTS }, () => kMeans(vectors, i + 1, random))),
  );
  const first = curve[0]!;
  const last = curve.at(-1)!;
  if (!(first - last > 1e-9 * vectors.length)) return { clusters: 1, curve };
  const gaps = curve.map((value, i) => first + ((last - first) * i) / (most - 1) - value);
  return { clusters: Math.max(2, gaps.indexOf(Math.max(...gaps)) + 1), curve };
}
