// Prints what the heap holds (--expose-gc), bytes: of a large tokenizer's description, and what is given back when a thread's options
// are made of it and it is let go.
import { optionsOf } from '../../../src-main/data/prepared/thread.ts';

const TOKENS = 100_000;
/** What the first collection lets go of is counted until the next. */
const held = () => {
  for (let i = 0; i < 2; i++) global.gc!();
  return process.memoryUsage().heapUsed;
};

function description() {
  const words = Array.from({ length: TOKENS }, (_, i) => i.toString(36).padStart(4, '-'));
  const characters = '-0123456789abcdefghijklmnopqrstuvwxyz'.split('');
  const halves = words.map((word) => [word.slice(0, 2), word.slice(2)]);
  const merges = [...[...new Set(halves.flat())].map((half) => [half[0], half[1]]), ...halves];
  const vocab = Object.fromEntries([...characters, ...new Set(halves.flat()), ...words].map((text, i) => [text, i]));
  return { json: { model: { type: 'BPE', vocab, merges } }, addBos: false, addEos: false, eosTokenIds: [0] };
}

/** In a function of its own, as what a function has in hand is held until it ends. */
const optionsFrom = ([tokenizer]: ReturnType<typeof description>[]) =>
  optionsOf({
    ...{ loss: 'all', vocabularySize: 1e6, tokenizer },
    plan: { format: 'text', columns: { text: 'text' }, media: [] },
  });

const before = held();
const given = [description()];
const described = held() - before;
const options = optionsFrom(given);
const both = held();
given.length = 0;
const givenBack = both - held();
process.stdout.write(JSON.stringify({ described, givenBack, tokens: options.tokenizer!.encode('--zz').length }));
