import type { PairTable } from './pair-table.ts';
import type { Tokens } from './piece.ts';

/** Symbols of a word that are being merged; a number that is the key of a merge: its rank, then its place. */
const PLACES = 2 ** 32;

/**
 * Joins neighbours until none can be joined: always the pair of the lowest rank, the leftmost of equals.
 * Reads and writes `tokens`, whose spans touch.
 */
export function mergeAll(tokens: Tokens, pairs: PairTable): void {
  const { ids, from, to } = tokens;
  const count = ids.length;
  if (count < 2) return;
  const next = new Int32Array(count);
  const previous = new Int32Array(count);
  const heap: number[] = [];
  const offer = (place: number, following: number) => {
    const slot = pairs.slot(ids[place]!, ids[following]!);
    if (slot !== -1) push(heap, pairs.rank(slot) * PLACES + place);
  };
  for (let i = 0; i < count; i++) {
    next[i] = i + 1;
    previous[i] = i - 1;
    if (i + 1 < count) offer(i, i + 1);
  }
  while (heap.length > 0) {
    const key = pop(heap);
    const rank = Math.floor(key / PLACES);
    const place = key - rank * PLACES;
    const following = next[place]!;
    // Outdated: one of the two was joined elsewhere since.
    if (ids[place] === -1 || following >= count) continue;
    const slot = pairs.slot(ids[place]!, ids[following]!);
    if (slot === -1 || pairs.rank(slot) !== rank) continue;
    ids[place] = pairs.result(slot);
    to[place] = to[following]!;
    ids[following] = -1;
    next[place] = next[following]!;
    if (next[place]! < count) {
      previous[next[place]!] = place;
      offer(place, next[place]!);
    }
    if (previous[place]! >= 0) offer(previous[place]!, place);
  }
  let kept = 0;
  for (let i = 0; i < count; i = next[i]!) {
    ids[kept] = ids[i]!;
    from[kept] = from[i]!;
    to[kept++] = to[i]!;
  }
  ids.length = from.length = to.length = kept;
}

/** A binary heap of numbers, the smallest on top. */
function push(heap: number[], key: number): void {
  let i = heap.length;
  heap.push(key);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = key;
}

function pop(heap: number[]): number {
  const top = heap[0]!;
  const last = heap.pop()!;
  const count = heap.length;
  if (count === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= last) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
  return top;
}
