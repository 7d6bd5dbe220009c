import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { windowsOf, type Window } from '../../src-main/data/windows.ts';

/** Messages in turn, asked and answered, as lengths in tokens; the answers carry loss. */
const chat = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 })), {
  minLength: 1,
  maxLength: 12,
});

function laidOut(turns: [asked: number, answered: number][]) {
  const runs: number[] = [];
  let tokens = 0;
  for (const [asked, answered] of turns) {
    runs.push(tokens + asked, tokens + asked + answered);
    tokens += asked + answered;
  }
  return { tokens, runs };
}

describe('a chat that is cut', () => {
  it('learns every token of its answers once, in windows that are no longer than allowed', () => {
    fc.assert(
      fc.property(chat, fc.integer({ min: 2, max: 80 }), (turns, length) => {
        const { tokens, runs } = laidOut(turns);
        const learned = new Array<number>(tokens).fill(0);
        const windows = windowsOf(tokens, runs, length, 'cut');
        for (const { from, to } of windows as { from: number; to: number }[]) {
          expect(to - from).toBeLessThanOrEqual(length);
          // The first token of a window is predicted by nothing.
          for (let i = from + 1; i < to; i++) learned[i]! += 1;
        }
        for (let run = 0; run < runs.length; run += 2)
          expect(learned.slice(runs[run], runs[run + 1]).every((times) => times === 1)).toBe(true);
      }),
    );
  });

  it('leaves room for its system message in every window but the first, unless that takes more than half', () => {
    fc.assert(
      fc.property(chat, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 4, max: 80 }), (turns, system, length) => {
        const [[asked, answered], ...rest] = turns as [[number, number], ...[number, number][]];
        const { tokens, runs } = laidOut([[asked + system, answered], ...rest]);
        const learned = new Array<number>(tokens).fill(0);
        for (const { from, to, lead } of windowsOf(tokens, runs, length, 'cut', system) as Window[]) {
          expect(lead).toBe(from > 0 && 2 * system <= length ? system : 0);
          expect(lead + to - from).toBeLessThanOrEqual(length);
          expect(lead === 0 || from >= system).toBe(true);
          for (let i = from + 1; i < to; i++) learned[i]! += 1;
        }
        for (let run = 0; run < runs.length; run += 2)
          expect(learned.slice(runs[run], runs[run + 1]).every((times) => times === 1)).toBe(true);
      }),
    );
  });

  it('breaks behind an answer wherever two turns fit into a window', () => {
    fc.assert(
      fc.property(chat, fc.integer({ min: 100, max: 200 }), (turns, length) => {
        const { tokens, runs } = laidOut(turns);
        const ends = new Set(runs.filter((_, i) => i % 2 === 1));
        // A question and its answer are 100 tokens at most: no window has to cut one.
        for (const { from, to } of windowsOf(tokens, runs, length, 'cut') as { from: number; to: number }[]) {
          expect(from === 0 || ends.has(from)).toBe(true);
          expect(ends.has(to)).toBe(true);
        }
      }),
    );
  });

  it('cuts inside of an answer that is longer than a window, and goes on behind it with the next message', () => {
    // Asked 2, answered 20, asked 3, answered 2; windows of 10.
    expect(windowsOf(27, [2, 22, 25, 27], 10, 'cut')).toMatchObject([
      { from: 0, to: 10 },
      { from: 9, to: 19 },
      { from: 18, to: 27 },
    ]);
    expect(windowsOf(29, [2, 22, 27, 29], 10, 'cut')).toMatchObject([
      { from: 0, to: 10 },
      { from: 9, to: 19 },
      { from: 18, to: 22 },
      { from: 22, to: 29 },
    ]);
  });
});
