import type { DataLook } from '../../src-preload/contract/index.ts';

/** Something about a dataset that a person may want to look at: a sentence, and the rows it is about. */
export interface Finding {
  text: string;
  rows?: number[];
}

const PERSONAL: Record<DataLook['personal'][number]['kind'], string> = {
  mail: 'mail addresses',
  phone: 'telephone numbers',
  account: 'bank accounts',
  card: 'card numbers',
};
const rowsOf = (count: number) => (count === 1 ? 'One row' : `${count} rows`);
/** A share from which on single-word answers are worth a word. */
const MANY = 0.8;
/** Held-out examples that a sentence about how well it went needs. */
const HELD_OUT = 10;

/** What looks wrong, or worth knowing before a training. */
export function findingsOf({ rows, broken, empty, duplicates, personal, answers, notes }: DataLook): Finding[] {
  const found: Finding[] = notes.map((text) => ({ text: `${text}.` }));
  for (const { reason, rows: at } of broken)
    found.push({ text: `${rowsOf(at.length)} can’t be read: ${reason}.`, rows: at });
  if (empty.length)
    found.push({
      text: `${rowsOf(empty.length)} with nothing to ask or to answer: left out of a training.`,
      rows: empty,
    });
  const again = duplicates.same.flatMap(([, ...others]) => others);
  if (again.length)
    found.push({
      text: `${rowsOf(again.length)} ${again.length === 1 ? 'says' : 'say'} what another row says already.`,
      rows: duplicates.same.flat(),
    });
  if (duplicates.near.length)
    found.push({
      text: `${duplicates.near.length} pairs of rows are nearly the same.`,
      rows: [...new Set(duplicates.near.flat())],
    });
  if (duplicates.contradicting.length)
    found.push({
      text: `${duplicates.contradicting.length} questions have different answers in different rows.`,
      rows: duplicates.contradicting.flat(),
    });
  for (const { kind, rows: at } of personal)
    found.push({
      text: `${rowsOf(at.length)} ${at.length === 1 ? 'seems' : 'seem'} to hold ${PERSONAL[kind]}: the model may tell them to others.`,
      rows: at,
    });
  if (answers && answers.filled >= 10 && answers.distinct <= Math.max(2, answers.filled / 20))
    found.push({
      text: `${answers.filled} rows have only ${answers.distinct === 1 ? 'one answer' : `${answers.distinct} different answers`}: the model learns to choose, not to write.`,
    });
  else if (answers && answers.oneWord > MANY * answers.filled)
    found.push({
      text: `${answers.oneWord} of ${answers.filled} answers are a single word: the model will answer so, too.`,
    });
  if (rows < 2 * HELD_OUT)
    found.push({
      text: `There ${rows === 1 ? 'is only one row' : `are only ${rows} rows`}. Some are kept aside to see how well it went, and so few say little: 50 or more are better.`,
    });
  return found;
}
