/** Examples that are read when they are needed: a million of them take no more memory than their lengths. */
export interface ExampleSource<Example> extends Iterable<Example> {
  readonly count: number;
  /** tokens of example `index`, without reading it */
  size(index: number): number;
  read(index: number): Example;
}

class Source<Example> implements ExampleSource<Example> {
  constructor(
    readonly count: number,
    readonly size: (index: number) => number,
    readonly read: (index: number) => Example,
  ) {}

  *[Symbol.iterator](): Generator<Example> {
    for (let i = 0; i < this.count; i++) yield this.read(i);
  }
}

/** A source from its parts; iterating reads one example after the other. */
export function exampleSource<Example>(
  count: number,
  size: (index: number) => number,
  read: (index: number) => Example,
): ExampleSource<Example> {
  return new Source(count, size, read);
}

/** Some of a source's examples, in the order of `indices`. */
export function subset<Example>(source: ExampleSource<Example>, indices: ArrayLike<number>): ExampleSource<Example> {
  return new Source(
    indices.length,
    (i) => source.size(indices[i]!),
    (i) => source.read(indices[i]!),
  );
}

/** Several sources, one after the other. */
export function concatenated<Example>(sources: ExampleSource<Example>[]): ExampleSource<Example> {
  const starts = [0];
  for (const { count } of sources) starts.push(starts.at(-1)! + count);
  const place = (index: number) => {
    const at = starts.findIndex((start, i) => index >= start && index < (starts[i + 1] ?? 0));
    return [sources[at]!, index - starts[at]!] as const;
  };
  return new Source(
    starts.at(-1)!,
    (index) => {
      const [source, i] = place(index);
      return source.size(i);
    },
    (index) => {
      const [source, i] = place(index);
      return source.read(i);
    },
  );
}

/** Every example's tokens. */
export function sizesOf({ count, size }: Pick<ExampleSource<unknown>, 'count' | 'size'>): Int32Array {
  const sizes = new Int32Array(count);
  for (let i = 0; i < count; i++) sizes[i] = size(i);
  return sizes;
}
