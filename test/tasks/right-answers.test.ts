import fsp from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planColumns } from '../../src-main/data/columns.ts';
import { readExample } from '../../src-main/data/read-example.ts';
import { readingOptions } from '../../src-main/data/reading-options.ts';
import { agreement, comparable } from '../../src-main/tasks/agreement.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { measure } from '../../src-main/trainer/measure.ts';
import { openForRunning, type OpenedModel } from '../../src-main/trainer/opened-model.ts';
import { runPython } from '../support/python.ts';
import { temporary } from '../trainer/support.ts';
import { writePictureData, writePictureModel } from './support.ts';

const work = temporary('right-answers');
afterAll(() => fsp.rm(work, { recursive: true }));

/** Ten answers of which so many are `answer`, the others all different. */
const ten = (answer: string, matches: number) =>
  Array.from({ length: 10 }, (_, i) => (i < matches ? answer : `other ${i}`));

describe('agreement with the answers of ten people', () => {
  it.each([
    // Left out by one of those who gave it (0 left) or by one of nine others (1/3): 9 / 10 of a third.
    [0, 0],
    [1, (9 * (1 / 3)) / 10],
    [2, (2 * (1 / 3) + 8 * (2 / 3)) / 10],
    [3, (3 * (2 / 3) + 7 * 1) / 10],
    [4, 1],
    [10, 1],
  ])('is, where %i gave it, %f', (matches, expected) => {
    expect(agreement('red', ten('red', matches))).toBeCloseTo(expected, 12);
  });

  it.each([
    ['The Red car.', 'red car'],
    ['two', '2'],
    ['None', '0'],
    ['a dont', "don't"],
    ["couldnt've", "couldn't've"],
    ['100,978', '100978'],
    ['2:50 pm', '2:50 pm'],
    ['3.5', '3.5'],
    ['black/white', 'black white'],
    ['black / white', 'black  white'.replace('  ', ' ')],
    ['girl’s', 'girl’s'],
  ])('takes %s as %s', (answer, expected) => expect(comparable(answer)).toBe(expected));

  it('is what the official evaluation gives', async () => {
    const words = ['Two', 'red.', 'the red', 'dont', "couldnt've", '1,000', '3.5', 'no-one', 'yes!', 'a/b', 'oclock', '(b)', 'ten  cats', 'none', 'black, white', 'U.S.', "yall'd've", 'thats  it ?', '1 , 000', '\tred\n', '.5']; // prettier-ignore
    const cases = words.flatMap((word, i) =>
      Array.from({ length: 6 }, (_, k) => {
        const near = [word, word.toUpperCase(), ` ${word}`, `the ${word}`, `${word}.`];
        const given = Array.from({ length: 10 }, (_, n) =>
          n < k ? near[(n + i) % 5]! : words[(i + n) % words.length]!,
        );
        return [word, given] as const;
      }),
    );
    const file = path.join(work, 'cases.json');
    await fsp.writeFile(file, JSON.stringify(cases));
    const official = JSON.parse(
      await runPython(path.join(import.meta.dirname, 'vqa_agreement.py'), [file]),
    ) as number[];
    expect(new Set(official).size).toBeGreaterThan(3);
    cases.forEach(([answer, given], i) => expect(agreement(answer, [...given])).toBeCloseTo(official[i]!, 12));
  });
});

describe('rows', () => {
  const read = (fields: Record<string, unknown>) =>
    readExample({ row: 1, fields }, planColumns(Object.keys(fields), 'rows.jsonl'));

  it('with options A to D (MMBench’s form) ask for the right one’s letter', () => {
    const fields = { question: 'What is it?', hint: 'Look.', A: 'a cat', B: 'a dog', C: 'nan', D: null, answer: 'B' };
    expect(read(fields)).toMatchObject({
      messages: [
        { content: 'What is it?\n\nLook.\nA. a cat\nB. a dog\nAnswer with the letter of the right option.' },
        { content: 'B' },
      ],
      ...{ answer: 'B', options: ['A', 'B'] },
    });
    expect(read({ ...fields, answer: 'C' })).toBe('its answer is "C", and its options are A, B');
  });

  it('with the answers of ten people (VizWiz’s form) learn what most of them said', () => {
    const answers = ['soda', 'coke', 'coke zero', 'coke'].map((answer) => ({ answer, answer_confidence: 'yes' }));
    expect(read({ question: 'What is it?', answers })).toMatchObject({
      messages: [{ content: 'What is it?' }, { content: 'coke' }],
      answers: ['coke', 'soda', 'coke zero', 'coke'],
    });
  });
});

describe('a model on pictures', () => {
  let opened: OpenedModel;
  let folder: string;
  beforeAll(async () => {
    opened = await openForRunning({ model: await writePictureModel(work), engine: 'tensorflow' }, () => {});
    folder = await writePictureData(work);
  });
  afterAll(() => opened.close());

  async function rows(name: string, lines: object[]) {
    const file = path.join(folder, `${name}.jsonl`);
    await fsp.writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
    return measure(opened, { path: file });
  }

  it('is measured by exact answers, by options and by agreement, each as it is by hand', async () => {
    const question = 'What colour?';
    // What this random model writes, which then is one question's right answer.
    const task = taskOf(opened.file);
    const path_ = path.join(folder, 'metadata.csv');
    const { examples, close } = await task.dataset({ path: path_ }, 0, opened.file, readingOptions(opened.file));
    const [line] = await task.samples(opened.file, [examples.read(0)], { samples: 1 }).answer(1, opened.model);
    close();
    const written = line!.answer;
    const answers = [...Array.from({ length: 2 }, () => written), ...Array.from({ length: 8 }, (_, i) => `other ${i}`)];
    const agreed = await rows('agreement', [{ image: '0.png', question, answers }]);
    expect(agreed).toMatchObject({ accuracyExamples: 1, accuracyBy: { options: 0, agreement: 1, exact: 0 } });
    expect(agreed.accuracy).toBeCloseTo(comparable(written) === '' ? 0 : (2 / 3 + 16 / 3) / 10, 12);

    const exact = await rows('exact', [
      { image: '0.png', question, answer: 'red' },
      { image: '1.png', question, answer: 'x'.repeat(200) },
    ]);
    // A long answer is told, not named.
    expect(exact).toMatchObject({
      accuracy: 0,
      accuracyExamples: 1,
      accuracyBy: { options: 0, agreement: 0, exact: 1 },
    });

    const options = ['A', 'B'].map((answer) => ({ image: '2.png', question, A: 'red', B: 'blue', answer }));
    // Of two questions that differ in what is right alone, one is answered rightly.
    expect(await rows('options', options)).toMatchObject({ accuracy: 0.5, accuracyBy: { options: 2, exact: 0 } });
  });
});
