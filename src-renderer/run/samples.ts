import type { SampleRecord } from '../../src-preload/contract/index.ts';

/** One question's answers over the run, oldest first. */
export interface Question {
  prompt: string;
  expected: string;
  /** what it is about, in small */
  pictures: { name: string; thumbnail: string }[];
  /** before the first update; undefined where that was not measured */
  before?: string;
  answers: { step: number; answer: string; changed: boolean }[];
}

/** Samples by their question, in the order they were asked first; an answer that is the one before again is not `changed`. */
export function questionsOf(samples: SampleRecord[]): Question[] {
  const questions = new Map<string, Question>();
  for (const { step, prompt, answer, picture, ...rest } of samples) {
    // One that was painted is no answer.
    if (picture !== undefined) continue;
    const expected = typeof rest['expected'] === 'string' ? rest['expected'] : '';
    const names = textsIn(rest['pictures']);
    const key = JSON.stringify([prompt, expected, names]);
    const question = questions.get(key) ?? { prompt, expected, pictures: [], answers: [] };
    const thumbnails = textsIn(rest['thumbnails']).filter((url) => url.startsWith('data:image/webp;base64,'));
    // Only what was asked before the first update comes with them.
    if (thumbnails.length > 0) question.pictures = thumbnails.map((thumbnail, i) => ({ name: names[i] ?? '', thumbnail })); // prettier-ignore
    questions.set(key, question);
    if (step === 0) question.before = answer;
    else
      question.answers.push({ step, answer, changed: answer !== (question.answers.at(-1)?.answer ?? question.before) });
  }
  return [...questions.values()];
}

/** What is painted of one prompt over the run, by step. */
export interface PaintedPrompt {
  prompt: string;
  seed?: number;
  pictures: Map<number, string>;
}

/** Pictures by their prompt, in the order they were painted first; two may be of one prompt with seeds of their own. */
export function paintedOf(samples: SampleRecord[]): { prompts: PaintedPrompt[]; steps: number[] } {
  const prompts = new Map<string, PaintedPrompt>();
  for (const { step, prompt, picture, seed } of samples) {
    if (picture === undefined) continue;
    const key = JSON.stringify([prompt, seed]);
    const known = prompts.get(key) ?? {
      prompt,
      seed: typeof seed === 'number' ? seed : undefined,
      pictures: new Map(),
    };
    known.pictures.set(step, picture);
    prompts.set(key, known);
  }
  const steps = [...new Set([...prompts.values()].flatMap(({ pictures }) => [...pictures.keys()]))];
  return { prompts: [...prompts.values()], steps: steps.sort((a, b) => a - b) };
}

const textsIn = (value: unknown) =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
