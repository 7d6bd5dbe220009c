/** Numbers of a piece, so that many of them lie in few. */
const PIECE = 2 ** 18;

/** Numbers that come little by little and are given away once, piece by piece: thousands of small arrays would leave memory in holes. */
export class Ints {
  private full: Int32Array[] = [];
  private last = new Int32Array(PIECE);
  private used = 0;
  private count = 0;

  get bytes(): number {
    return 4 * this.count;
  }

  add(values: Int32Array): void {
    this.count += values.length;
    for (let from = 0; from < values.length;) {
      const some = values.subarray(from, from + PIECE - this.used);
      this.last.set(some, this.used);
      this.used += some.length;
      from += some.length;
      if (this.used < PIECE) return;
      this.full.push(this.last);
      this.last = new Int32Array(PIECE);
      this.used = 0;
    }
  }

  /** All of them as bytes; none are held any more. */
  *pieces(): Generator<Uint8Array> {
    const all = [...this.full, this.last.subarray(0, this.used)];
    [this.full, this.last] = [[], new Int32Array(0)];
    for (let piece = all.shift(); piece; piece = all.shift())
      yield new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
}
