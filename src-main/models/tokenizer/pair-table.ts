/** What two neighbouring tokens become, and how early: a hash table in typed arrays, as vocabularies have up to half a million. */
export class PairTable {
  private readonly left: Int32Array;
  private readonly right: Int32Array;
  private readonly ranks: Int32Array;
  private readonly results: Int32Array;
  private readonly mask: number;

  /** @param capacity the most pairs that will be set */
  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(capacity, 1) * 2));
    this.mask = slots - 1;
    this.left = new Int32Array(slots).fill(-1);
    this.right = new Int32Array(slots);
    this.ranks = new Int32Array(slots);
    this.results = new Int32Array(slots);
  }

  private find(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right + 1, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.mask;
    while (this.left[slot] !== -1 && (this.left[slot] !== left || this.right[slot] !== right))
      slot = (slot + 1) & this.mask;
    return slot;
  }

  /** A pair that is set again has its last rank, as in the package tokenizers. */
  set(left: number, right: number, rank: number, result: number): void {
    const slot = this.find(left, right);
    this.left[slot] = left;
    this.right[slot] = right;
    this.ranks[slot] = rank;
    this.results[slot] = result;
  }

  /** a slot for rank and result, -1 when the two don't join */
  slot(left: number, right: number): number {
    const slot = this.find(left, right);
    return this.left[slot] === -1 ? -1 : slot;
  }

  rank(slot: number): number {
    return this.ranks[slot]!;
  }

  result(slot: number): number {
    return this.results[slot]!;
  }
}
