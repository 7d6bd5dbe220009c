/** Ends a text before the first of some stop sequences, holding back what may be the beginning of one. */
export class StopText {
  #held = '';
  readonly #stops: string[];
  /** a stop sequence was met */
  stopped = false;

  constructor(stops: string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** The text that can be given out now. */
  push(piece: string): string {
    if (this.stopped) return '';
    this.#held += piece;
    const places = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.stopped = true;
      return this.#held.slice(0, Math.min(...places));
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => beginningAtEnd(this.#held, stop)));
    const out = this.#held.slice(0, this.#held.length - keep);
    this.#held = this.#held.slice(out.length);
    return out;
  }

  /** What was held back, at the end of the text. */
  end(): string {
    return this.stopped ? '' : this.#held;
  }
}

/** How many characters at the end of `text` are the beginning of `stop`. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
