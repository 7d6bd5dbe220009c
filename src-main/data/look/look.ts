import { shortened } from '../../../src-preload/shortened.ts';
import { UserError } from '../../engine/types.ts';
import { planColumns } from '../columns.ts';
import { isMessageList, isPresent, parsedIfText } from '../field-text.ts';
import { jsonText } from '../formats/json-values.ts';
import { isOfPictures } from '../picture-rows.ts';
import { planCaptions } from '../captions.ts';
import { isBroken, type PlacePart } from '../formats/rows.ts';
import { addRow } from '../prepared/row-facts.ts';
import { DuplicateFinder, type Duplicates } from './duplicates.ts';
import { openShown } from './shown-rows.ts';
import { guessColumns, isNumberLike, type ColumnFacts, type ColumnGuess } from './guess-columns.ts';
import { personalKinds, type PersonalKind } from './personal.ts';

/** Rows that are looked at; of larger files the first. */
const LOOKED_AT = 20_000;
const EXAMPLES = 3;
const SHOWN_CHARACTERS = 120;
/** Different values that are counted; more are many. */
const COUNTED = 2_000;

/** What a table of rows holds, before any model reads it. */
export interface DataLook {
  rows: number;
  /** false: there are more rows than were looked at */
  whole: boolean;
  columns: ColumnFacts[];
  guess: ColumnGuess & { messages?: string };
  /** its columns are known by their names: a training needs no guess */
  isRecognised: boolean;
  /** pictures with captions, and nothing that is asked about them */
  ofCaptions: boolean;
  /** rows that can't be read, by reason */
  broken: { reason: string; rows: number[] }[];
  /** rows with nothing in the column of the question or the answer */
  empty: number[];
  duplicates: Duplicates;
  personal: { kind: PersonalKind; rows: number[] }[];
  /** of the answers: how many there are, how many different ones, and how many of a single word */
  answers?: { filled: number; distinct: number; oneWord: number };
  notes: string[];
  /** of a workbook the sheet that was read, and all that it has */
  sheet?: string;
  sheets?: string[];
}

/** Which columns are the question and the answer; undefined: they are guessed. */
export interface Roles {
  question?: string;
  answer?: string;
}

/** What its columns are, by their names or else by what they hold. @throws UserError where the file can't be read */
export async function guessAt(path: string, part: PlacePart): Promise<Pick<DataLook, 'guess' | 'isRecognised'>> {
  const { guess, isRecognised } = await tableAt(path, part);
  return { guess, isRecognised };
}

/** Looks through a dataset's rows. @throws UserError where the file can't be read */
export async function lookAt(path: string, part: PlacePart, roles?: Roles): Promise<DataLook> {
  const { source, rows, broken, guess, ...table } = await tableAt(path, part);
  const { question, answer } = roles ?? answersIn(guess);
  const pictures = table.columns.map(({ name }) => name).filter((name) => isOfPictures(name) && name !== question);
  const said = rows.map(({ row, texts }) => ({
    row,
    about: pictures.map((name) => texts[name] ?? '').join('\n'),
    question: question === undefined ? '' : (texts[question] ?? ''),
    answer: answer === undefined ? '' : (texts[answer] ?? ''),
  }));
  return {
    ...table,
    ...{ rows: rows.length, guess },
    broken: [...broken].map(([reason, at]) => ({ reason, rows: at })),
    empty: said.filter((one) => isEmpty(one, { question, answer })).map(({ row }) => row),
    duplicates: duplicatesAmong(said),
    personal: personalIn(rows),
    answers: answer === undefined ? undefined : answersOf(said.map((one) => one.answer)),
    notes: [...source.notes],
    ...{ sheet: source.sheet, sheets: source.sheets },
  };
}

/** The first rows as texts, and what their columns are. */
async function tableAt(path: string, part: PlacePart) {
  const { source } = await openShown(path, part);
  const rows: { row: number; texts: Record<string, string> }[] = [];
  const broken = new Map<string, number[]>();
  const messages = new Set<string>();
  let whole = true;
  reading: for await (const batch of source.rows())
    for (const row of batch) {
      if (rows.length >= LOOKED_AT) {
        whole = false;
        break reading;
      }
      if (isBroken(row)) addRow(broken, row.reason, row.row);
      else {
        for (const [name, value] of Object.entries(row.fields)) if (holdsMessages(value)) messages.add(name);
        rows.push({ row: row.row, texts: textsOf(row.fields) });
      }
    }
  const columns = source.columns.map((name) => factsOf(name, rows.map(({ texts }) => texts[name] ?? ''))); // prettier-ignore
  const captions = captionsIn(source.columns, path);
  const known = recognised(source.columns, path) ?? (captions === undefined ? undefined : { text: captions });
  const [chat] = [...messages];
  const guess = known ?? (chat === undefined ? guessColumns(columns) : { messages: chat });
  return {
    source,
    rows,
    broken,
    whole,
    columns,
    guess,
    isRecognised: known !== undefined,
    ofCaptions: captions !== undefined,
  };
}

/** The column of captions, where there is one of pictures, too, and nothing that is asked about them. */
function captionsIn(columns: string[], path: string): string | undefined {
  try {
    return recognised(columns, path)?.answer === undefined ? planCaptions(columns, path, {}).caption : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** What the columns are by their names alone; undefined where those say nothing. */
function recognised(columns: string[], path: string): DataLook['guess'] | undefined {
  try {
    const { columns: mapping } = planColumns(columns, path);
    const { instruction, output, prompt, completion, text, messages } = mapping;
    return { question: instruction ?? prompt, answer: output ?? completion, text, messages };
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The columns whose sense is looked at. */
function answersIn({ question, answer, text, messages }: DataLook['guess']): Roles {
  return answer === undefined ? { answer: text ?? messages } : { question, answer };
}

const holdsMessages = (value: unknown) => isMessageList(value) || isMessageList(parsedIfText(value));

/** Every value as people see it. */
export function textsOf(fields: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shownText(value)]));
}

function shownText(value: unknown): string {
  if (!isPresent(value)) return '';
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
  return (typeof value === 'string' ? value : jsonText(value)).replace(DATA_URL, '$1…');
}

/** A picture in the text itself, of which nobody reads the letters. */
const DATA_URL = /(data:image\/[\w.+-]+;base64,)[A-Za-z0-9+/=]{32,}/g;

function factsOf(name: string, values: string[]): ColumnFacts {
  const filled = values.filter((value) => value.trim() !== '');
  const different = new Set<string>();
  for (const value of filled) if (different.size < COUNTED) different.add(value);
  const share = (is: (value: string) => boolean) => (filled.length ? filled.filter(is).length / filled.length : 0);
  return {
    ...{ name, filled: filled.length, distinct: different.size },
    words: filled.length ? filled.reduce((sum, value) => sum + wordsOf(value), 0) / filled.length : 0,
    questions: share((value) => /[?？]["'”»)]*\s*$/.test(value)),
    numbers: share((value) => isNumberLike(value.trim())),
    examples: [...different].slice(0, EXAMPLES).map((value) => shortened(value, SHOWN_CHARACTERS, '…')),
  };
}

const wordsOf = (text: string) => text.trim().split(/\s+/).length;

function isEmpty(said: { question: string; answer: string }, { question, answer }: Roles): boolean {
  return (question !== undefined && said.question.trim() === '') || (answer !== undefined && said.answer.trim() === '');
}

function duplicatesAmong(said: { row: number; about: string; question: string; answer: string }[]): Duplicates {
  const finder = new DuplicateFinder();
  for (const one of said) if ((one.question + one.answer).trim() !== '') finder.add(one);
  return finder.found;
}

function personalIn(rows: { row: number; texts: Record<string, string> }[]): DataLook['personal'] {
  const found = new Map<PersonalKind, number[]>();
  for (const { row, texts } of rows)
    for (const kind of new Set(Object.values(texts).flatMap(personalKinds))) addRow(found, kind, row);
  return [...found].map(([kind, at]) => ({ kind, rows: at }));
}

function answersOf(answers: string[]): DataLook['answers'] {
  const filled = answers.filter((answer) => answer.trim() !== '');
  return {
    filled: filled.length,
    distinct: new Set(filled.map((answer) => answer.trim().toLowerCase())).size,
    oneWord: filled.filter((answer) => wordsOf(answer) === 1).length,
  };
}
