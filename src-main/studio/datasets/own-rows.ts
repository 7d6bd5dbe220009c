import { createHash } from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { RowChange } from '../../../src-preload/contract/index.ts';
import { jsonText, parseJson } from '../../data/formats/json-values.ts';
import { isBroken, openRows, type PlacePart } from '../../data/formats/rows.ts';
import { addRow } from '../../data/prepared/row-facts.ts';
import { UserError } from '../../engine/types.ts';
import { writeAtomic } from '../../trainer/atomic.ts';

/**
 * A table that people change: a JSONL file of the studio's own, a row a line, and beside it what would take each change back. The file
 * that it was made from stays as it is.
 */

/** The largest table that is changed row by row, bytes. */
export const MOST_OWN_BYTES = 64e6;
const UNDONE_AT_MOST = 100;

/** What takes a change back: a row's text as it was, or a row that comes back where it stood. */
interface Undone {
  row: number;
  before: string;
  gone: boolean;
}

/** One change. It counts only while the table is what it left behind: the power may have gone before the table was written. */
interface Step {
  after: string;
  undone: Undone[];
}

const undoFile = (file: string) => `${file}.undo`;

/**
 * Makes a table of `path`'s rows. Rows that can't be read can't be copied: they are named.
 * @throws UserError where the rows are too many, or hold what no text stands for
 */
export async function copyRows(
  path: string,
  part: PlacePart,
  file: string,
): Promise<{ rows: number; left: { reason: string; rows: number[] }[] }> {
  const source = await openRows(path, part);
  const lines: string[] = [];
  const left = new Map<string, number[]>();
  let bytes = 0;
  for await (const batch of source.rows())
    for (const row of batch) {
      if (isBroken(row)) {
        addRow(left, row.reason, row.row);
        continue;
      }
      if (Object.values(row.fields).some(ArrayBuffer.isView))
        throw new UserError(`${path}, row ${row.row} holds bytes (pictures?), which can't be changed in a table`);
      lines.push(jsonText(row.fields));
      bytes += lines.at(-1)!.length;
      if (bytes > MOST_OWN_BYTES)
        throw new UserError(
          `${path} holds more than ${MOST_OWN_BYTES / 1e6} MB of rows, too many to change in a table`,
        );
    }
  if (lines.length === 0) throw new UserError(`${path} has no row that can be read`);
  await fsp.rm(undoFile(file), { force: true });
  await writeAtomic(file, textOf(lines));
  return { rows: lines.length, left: [...left].map(([reason, rows]) => ({ reason, rows })) };
}

/** Makes all of the changes or none, and remembers how to take them back. @throws UserError for a row or a column that isn't there */
export async function changeRows(file: string, changes: RowChange[]): Promise<void> {
  const lines = await linesOf(file);
  const undo: Undone[] = [];
  // From the end, so that rows that go don't move those that are still to be changed.
  for (const change of [...changes].sort((a, b) => b.row - a.row)) {
    const before = lines[change.row - 1];
    if (before === undefined) throw new UserError(`Row ${change.row} isn't there any more. Load the table again.`);
    undo.push({ row: change.row, before, gone: 'gone' in change });
    if ('gone' in change) lines.splice(change.row - 1, 1);
    else lines[change.row - 1] = withValue(before, change);
  }
  if (lines.length === 0) throw new UserError('The last row has to stay. Remove the dataset instead.');
  const after = textOf(lines);
  await writeSteps(file, [...(await stepsOf(file)), { after: digest(after), undone: undo }].slice(-UNDONE_AT_MOST));
  await writeAtomic(file, after);
}

/** Takes the last change back. @returns how many changes are left to take back */
export async function undoRows(file: string): Promise<number> {
  const steps = await stepsOf(file);
  const last = steps.pop();
  if (!last) return 0;
  const lines = await linesOf(file);
  for (const { row, before, gone } of [...last.undone].reverse()) lines.splice(row - 1, gone ? 0 : 1, before);
  await writeAtomic(file, textOf(lines));
  await writeSteps(file, steps);
  return steps.length;
}

/** How many changes can be taken back. */
export const undoable = async (file: string): Promise<number> => (await stepsOf(file)).length;

export async function removeOwn(file: string): Promise<void> {
  // A folder of pictures lies in one of its own.
  if ((await fsp.stat(file).catch(() => undefined))?.isDirectory())
    return fsp.rm(path.dirname(file), { recursive: true, force: true });
  for (const one of [file, undoFile(file)]) await fsp.rm(one, { force: true });
}

function withValue(line: string, { row, column, value }: { row: number; column: string; value: string }): string {
  const fields = parseJson(line) as Record<string, unknown>;
  const given = fields[column];
  if (given !== undefined && given !== null && typeof given !== 'string') {
    // What was a number or a list stays one, where the new text is one, too.
    try {
      return jsonText({ ...fields, [column]: parseJson(value) });
    } catch {
      throw new UserError(`Row ${row}, “${column}” holds ${jsonText(given).slice(0, 40)}; “${value.slice(0, 40)}” is not written as that is.`); // prettier-ignore
    }
  }
  return jsonText({ ...fields, [column]: value });
}

/** The changes that can be taken back, the last one last. */
async function stepsOf(file: string): Promise<Step[]> {
  const text = await fsp.readFile(undoFile(file), 'utf8').catch(() => '');
  const steps = text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Step); // prettier-ignore
  const now = digest(await fsp.readFile(file, 'utf8'));
  while (steps.length > 0 && steps.at(-1)!.after !== now) steps.pop();
  return steps;
}

const writeSteps = (file: string, steps: Step[]) =>
  writeAtomic(undoFile(file), textOf(steps.map((step) => JSON.stringify(step))));

const linesOf = async (file: string) => (await fsp.readFile(file, 'utf8')).split('\n').filter(Boolean);
const textOf = (lines: string[]) => lines.map((line) => `${line}\n`).join('');
const digest = (text: string) => createHash('sha256').update(text).digest('hex');
