import path from 'node:path';
import { formatKind, type DateKind } from './dates.ts';
import type { Parts } from './parts.ts';
import { prefixed, readXml } from './xml.ts';

/** A workbook's sheet of cells; charts and dialogs on sheets of their own are none. */
export interface Sheet {
  name: string;
  part: string;
  isHidden: boolean;
}

/** What a workbook says beside its cells. */
export interface Workbook {
  sheets: Sheet[];
  /** days count from 1904 instead of 1900 */
  from1904: boolean;
  /** by number of a cell's style, which kind of date its number stands for */
  dateStyles: (DateKind | undefined)[];
  /** the part that holds the texts which cells share */
  sharedStrings?: string;
}

interface Relation {
  type: string;
  target: string;
}

/** @throws Error for a zip that is no workbook */
export async function readWorkbook(parts: Parts): Promise<Workbook> {
  const main = one(await relationsOf(parts, ''), 'officeDocument');
  if (!main) throw new Error('it holds no workbook');
  const relations = await relationsOf(parts, main);
  const sheets: Sheet[] = [];
  let from1904 = false;
  await readXml(parts.text(main), {
    open(name, attributes) {
      if (name === 'workbookPr') from1904 = isTrue(attributes.date1904);
      const relation = name === 'sheet' ? relations.get(prefixed(attributes, 'id') ?? '') : undefined;
      if (relation?.type === 'worksheet')
        sheets.push({ name: attributes.name ?? '', part: relation.target, isHidden: (attributes.state ?? 'visible') !== 'visible' }); // prettier-ignore
    },
  });
  const styles = one(relations, 'styles');
  const dateStyles = styles && parts.has(styles) ? await dateStylesOf(parts.text(styles)) : [];
  return { sheets, from1904, dateStyles, sharedStrings: one(relations, 'sharedStrings') };
}

const isTrue = (text: string | undefined) => text === '1' || text === 'true' || text === 'on';

const one = (relations: Map<string, Relation>, type: string) =>
  [...relations.values()].find((relation) => relation.type === type)?.target;

/** What a part refers to, by id; of the whole file for ''. */
async function relationsOf(parts: Parts, part: string): Promise<Map<string, Relation>> {
  const folder = path.posix.dirname(part);
  const file = path.posix.join(folder, '_rels', `${path.posix.basename(part)}.rels`);
  const relations = new Map<string, Relation>();
  if (!parts.has(file)) return relations;
  await readXml(parts.text(file), {
    open(name, { Id, Type, Target, TargetMode }) {
      if (name !== 'Relationship' || !Id || !Type || !Target || TargetMode === 'External') return;
      const target = Target.startsWith('/') ? Target.slice(1) : path.posix.join(folder, Target);
      relations.set(Id, { type: Type.slice(Type.lastIndexOf('/') + 1), target });
    },
  });
  return relations;
}

/** Of each cell style the kind of date, by its number format. */
async function dateStylesOf(text: AsyncIterable<string>): Promise<(DateKind | undefined)[]> {
  const codes = new Map<number, string>();
  const kinds: (DateKind | undefined)[] = [];
  let isOfCells = false;
  await readXml(text, {
    open(name, { numFmtId, formatCode }) {
      if (name === 'numFmt' && formatCode !== undefined) codes.set(Number(numFmtId), formatCode);
      if (name === 'cellXfs') isOfCells = true;
      if (name === 'xf' && isOfCells) kinds.push(formatKind(Number(numFmtId ?? 0), codes.get(Number(numFmtId))));
    },
    close(name) {
      if (name === 'cellXfs') isOfCells = false;
    },
  });
  return kinds;
}

/** The texts that cells share, by number. */
export async function readSharedStrings(text: AsyncIterable<string>): Promise<string[]> {
  const strings: string[] = [];
  const item = new RichText();
  await readXml(text, {
    open(name) {
      if (name === 'si') item.begin();
      else item.open(name);
    },
    text: (piece) => item.text(piece),
    close(name) {
      if (name === 'si') strings.push(item.end());
      else item.close(name);
    },
  });
  return strings;
}

/** A text of one run or of several, without how East Asian text is said (`rPh`). */
export class RichText {
  private pieces: string[] = [];
  private isInText = false;
  private isSaid = false;

  begin(): void {
    this.pieces = [];
  }

  open(name: string): void {
    if (name === 't') this.isInText = true;
    if (name === 'rPh') this.isSaid = true;
  }

  text(piece: string): void {
    if (this.isInText && !this.isSaid) this.pieces.push(piece);
  }

  close(name: string): void {
    if (name === 't') this.isInText = false;
    if (name === 'rPh') this.isSaid = false;
  }

  end(): string {
    return unescaped(this.pieces.join(''));
  }
}

/** Excel writes characters that XML has no place for as _x000D_, and what looks so with its _ as _x005F_. */
export const unescaped = (text: string): string =>
  text.includes('_x')
    ? text.replace(/_x([0-9A-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    : text;
