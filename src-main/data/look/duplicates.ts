/** Rows that say the same. Numbers are the rows'. */
export interface Duplicates {
  /** groups of rows that are one but for case, spaces and punctuation; the first of a group first */
  same: number[][];
  /** pairs that share at least four fifths of their runs of three words */
  near: [number, number][];
  /** groups of rows with one question and different answers */
  contradicting: number[][];
}

interface Said {
  row: number;
  /** its pictures: the same question about another one is another question */
  about?: string;
  question: string;
  answer: string;
}

const NEAR = 0.8;
/** Hashes of a row, in bands: two rows are compared where all hashes of a band agree (minhash, Broder 1997). */
const HASHES = 32;
const BAND = 4;
/** Rows of one band that are compared with one another; more say that the band is a phrase of every row. */
const MOST_IN_BAND = 50;
const MOST_PAIRS = 1_000;

/** Finds what is there twice. */
export class DuplicateFinder {
  readonly #bySaid = new Map<string, number[]>();
  readonly #byQuestion = new Map<string, Map<string, number>>();
  readonly #bands = new Map<string, number[]>();
  readonly #runs = new Map<number, Set<number>>();

  add({ row, about = '', question, answer }: Said): void {
    const [words, told] = [plain(question), plain(answer)];
    const asked = words && `${about}\0${words}`;
    const said = `${about}\0${words}\0${told}`;
    const before = this.#bySaid.get(said);
    if (before) return void before.push(row);
    this.#bySaid.set(said, [row]);
    if (asked) {
      const answers = this.#byQuestion.get(asked) ?? new Map<string, number>();
      this.#byQuestion.set(asked, answers.set(told, row));
    }
    this.#sign(row, runsOfWords(`${words} ${told}`, about));
  }

  get found(): Duplicates {
    const same = [...this.#bySaid.values()].filter((rows) => rows.length > 1);
    const contradicting = [...this.#byQuestion.values()].filter((answers) => answers.size > 1);
    return { same, near: this.#near(), contradicting: contradicting.map((answers) => [...answers.values()]) };
  }

  #sign(row: number, runs: Set<number>): void {
    if (runs.size < 3) return;
    this.#runs.set(row, runs);
    const smallest = Array.from({ length: HASHES }, (_, seed) =>
      Math.min(...Array.from(runs, (run) => mix(run, seed))),
    );
    for (let from = 0; from < HASHES; from += BAND) {
      const band = `${from}:${smallest.slice(from, from + BAND).join()}`;
      const rows = this.#bands.get(band);
      if (rows) rows.push(row);
      else this.#bands.set(band, [row]);
    }
  }

  #near(): [number, number][] {
    const pairs = new Map<string, [number, number]>();
    for (const rows of this.#bands.values()) {
      if (rows.length < 2 || rows.length > MOST_IN_BAND) continue;
      for (const [i, a] of rows.entries())
        for (const b of rows.slice(i + 1)) {
          if (pairs.size >= MOST_PAIRS) break;
          if (!pairs.has(`${a},${b}`) && overlap(this.#runs.get(a)!, this.#runs.get(b)!) >= NEAR)
            pairs.set(`${a},${b}`, [a, b]);
        }
    }
    return [...pairs.values()].sort(([a, b], [c, d]) => a - c || b - d);
  }
}

/** Without what doesn't change what is said. */
const plain = (text: string) =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{P}\p{S}]+/gu, ' ')
    .trim();

/** Every three words in a row, as numbers: others where they are about something else. */
function runsOfWords(text: string, about: string): Set<number> {
  const words = text.split(' ');
  return new Set(words.map((_, i) => hash(about + words.slice(i, i + 3).join(' '))));
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** Another order of the same numbers for each seed (the finalizer of MurmurHash3). */
function mix(value: number, seed: number): number {
  let x = value ^ Math.imul(seed + 1, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Jaccard's index. */
function overlap(a: Set<number>, b: Set<number>): number {
  let both = 0;
  for (const one of a) if (b.has(one)) both += 1;
  return both / (a.size + b.size - both);
}
