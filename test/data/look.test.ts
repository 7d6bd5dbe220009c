import { describe, expect, it } from 'vitest';
import { DuplicateFinder } from '../../src-main/data/look/duplicates.ts';
import { guessColumns, type ColumnFacts } from '../../src-main/data/look/guess-columns.ts';
import { personalKinds } from '../../src-main/data/look/personal.ts';
import { looksLikeHeader } from '../../src-renderer/datasets/header.ts';

const column = (name: string, facts: Partial<ColumnFacts> = {}): ColumnFacts => ({
  ...{ name, filled: 60, distinct: 60, words: 8, questions: 0, numbers: 0, examples: [] },
  ...facts,
});

describe('the question and the answer among columns', () => {
  it.each([
    ['German names', [column('Nr', { numbers: 1 }), column('Frage'), column('Antwort', { words: 20 })], 'Frage', 'Antwort'], // prettier-ignore
    ['odd names, by their content', [column('a', { words: 7, questions: 0.9 }), column('b', { words: 18 })], 'a', 'b'],
    ['the answer first', [column('Reply', { words: 3 }), column('What was asked', { questions: 1 })], 'What was asked', 'Reply'], // prettier-ignore
    ['a category and a date beside them', [column('Topic', { distinct: 3, words: 1 }), column('Date', { numbers: 1 }), column('Customer wrote'), column('We answered')], 'Customer wrote', 'We answered'], // prettier-ignore
    ['few different answers', [column('question'), column('answer', { distinct: 2, words: 1 })], 'question', 'answer'],
    ['an empty column', [column('Notes', { filled: 0 }), column('x', { questions: 1 }), column('y')], 'x', 'y'],
  ])('%s', (_, columns, question, answer) => {
    expect(guessColumns(columns)).toEqual({ question, answer });
  });

  it('one column of text is a text, and numbers are nothing', () => {
    expect(guessColumns([column('id', { numbers: 1 }), column('body')])).toEqual({ text: 'body' });
    expect(guessColumns([column('id', { numbers: 1 })])).toEqual({});
  });
});

describe('rows that are there twice', () => {
  const words = (seed: number, count: number) =>
    Array.from({ length: count }, (_, i) => `w${(seed * 7919 + i * 31) % 5000}`);

  it('the same but for case, spaces and punctuation; the same question with another answer', () => {
    const finder = new DuplicateFinder();
    const rows = [['When do you open?', 'At nine.'], ['when  do you OPEN', 'at nine!'], ['When do you open?', 'At ten.'], ['Where?', 'Here.']]; // prettier-ignore
    rows.forEach(([question, answer], i) => finder.add({ row: i + 1, question: question!, answer: answer! }));
    expect(finder.found).toEqual({ same: [[1, 2]], near: [], contradicting: [[1, 3]] });
  });

  it('finds the pairs that comparing each with each finds', () => {
    // Texts of 60 words, some with one word changed (of 60 runs of three words three differ), some with twenty.
    const texts: string[][] = [];
    for (let i = 0; i < 60; i++) {
      const text = words(i, 60);
      texts.push(text);
      if (i % 4 === 0) texts.push(text.map((word, at) => (at === 30 ? 'other' : word)));
      if (i % 5 === 0) texts.push(text.map((word, at) => (at % 3 === 0 ? `x${at}` : word)));
    }
    const finder = new DuplicateFinder();
    texts.forEach((text, i) => finder.add({ row: i + 1, question: '', answer: text.join(' ') }));
    const runs = texts.map((text) => new Set(text.map((_, i) => text.slice(i, i + 3).join(' '))));
    const near: [number, number][] = [];
    runs.forEach((a, i) =>
      runs.forEach((b, j) => {
        const both = [...a].filter((run) => b.has(run)).length;
        if (i < j && both / (a.size + b.size - both) >= 0.8) near.push([i + 1, j + 1]);
      }),
    );
    expect(near.length).toBeGreaterThan(10);
    expect(finder.found.near).toEqual(near);
  });
});

describe('what looks like somebody’s own', () => {
  it.each([
    ['write to anna.huber+x@example.co.uk', ['mail']],
    ['IBAN DE89 3704 0044 0532 0130 00', ['account']],
    ['DE88 3704 0044 0532 0130 00 has a wrong check digit', []],
    ['card 4111 1111 1111 1111', ['card']],
    ['number 4111 1111 1111 1112', []],
    ['call +49 89 1234567 or (030) 123 456', ['phone']],
    ['on 2024-05-17 at 10.30 it was 1.234,56 €', []],
    ['chapter 12.3.4, pages 100-120', []],
  ])('%s', (text, kinds) => {
    expect(personalKinds(text)).toEqual(kinds);
  });
});

it.each([
  ['Frage\tAntwort\nWann?\tUm neun Uhr', true],
  ['When do you open?\tAt nine\nWhere are you?\tIn the high street', false],
  ['hello there my good friends\tb\nc\td', false],
  ['name\tname\nsomething longer\tx', false],
  ['only one line', false],
])('%j has a header: %s', (text, is) => {
  expect(looksLikeHeader(text)).toBe(is);
});
