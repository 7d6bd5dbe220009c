import { exampleSource, type ExampleSource } from '../../../src-main/data/example-source.ts';

/** A list as a source of examples of one token each. */
export const inMemory = <Example>(examples: Example[]): ExampleSource<Example> =>
  exampleSource(
    examples.length,
    () => 1,
    (index) => examples[index]!,
  );
