import { isObject } from './source.ts';

/** The text is no JSON document. */
export class NotJson extends Error {}

/** The longest element, in characters. */
const MAX_ELEMENT = 2 ** 26;

/**
 * The elements of a JSON document's array, as texts in batches, without holding the document: of the array that it is, else of
 * the first that the object which it is holds as a value. What is inside an element is not looked at; what is around it is.
 * @param others is told the names of further arrays of objects beside it, which are not read
 * @throws NotJson
 */
export async function* jsonElements(
  parts: AsyncIterable<string>,
  others: (lists: string[]) => void = () => {},
): AsyncGenerator<string[]> {
  const scan = new ElementScan();
  for await (const part of parts) {
    const elements = scan.push(part);
    if (elements) yield elements;
  }
  const lists = scan.end();
  if (lists.length > 0) others(lists);
}

/** Where a scan stands: before the array, in it, behind it. */
type Place = 'before' | 'inside' | 'behind';

class ElementScan {
  private place: Place = 'before';
  /** open brackets and braces */
  private open: string[] = [];
  private inString = false;
  /** the array's own depth */
  private depth = 0;
  /** text of the element begun, piece by piece */
  private begun: string[] = [];
  private length = 0;
  /** what stands around the array, shortened: it has to be JSON with the array as [] */
  private around = '';
  private isEscaped = false;
  private hasElements = false;

  /** @returns the elements that end in this part; undefined while the array has not begun, or is over */
  push(part: string): string[] | undefined {
    const elements: string[] = [];
    let from = 0;
    const wasInside = this.place === 'inside';
    for (let at = 0; at < part.length; at++) {
      const character = part.charCodeAt(at);
      if (this.inString) {
        if (this.isEscaped) this.isEscaped = false;
        else if (character === BACKSLASH) this.isEscaped = true;
        else if (character === QUOTE) this.inString = false;
        continue;
      }
      if (character === QUOTE) this.inString = true;
      else if (character === OPEN_LIST || character === OPEN_OBJECT) {
        this.open.push(character === OPEN_LIST ? ']' : '}');
        if (this.place === 'before' && character === OPEN_LIST && this.open.length <= 2) {
          this.around += part.slice(from, at + 1);
          from = at + 1;
          this.place = 'inside';
          this.depth = this.open.length;
        }
      } else if (character === CLOSE_LIST || character === CLOSE_OBJECT) {
        if (this.place === 'inside' && this.open.length === this.depth) {
          this.take(part.slice(from, at), elements, true);
          from = at;
          this.place = 'behind';
        }
        if (this.open.pop() !== part[at]) throw new NotJson(`a "${part[at]}" closes what is not open`);
      } else if (character === COMMA && this.place === 'inside' && this.open.length === this.depth) {
        this.take(part.slice(from, at), elements, false);
        from = at + 1;
      }
    }
    this.keep(part.slice(from));
    return wasInside || this.place !== 'before' ? elements : undefined;
  }

  /** The names of further arrays of objects. @throws NotJson where the document is cut off, or what stands around the array is none */
  end(): string[] {
    if (this.open.length > 0 || this.inString) throw new NotJson('it ends in the middle');
    try {
      const around: unknown = JSON.parse(this.around.replace(/^\ufeff/, ''));
      return isObject(around) ? Object.keys(around).filter((name) => isRows(around[name])) : [];
    } catch (error) {
      throw new NotJson((error as Error).message);
    }
  }

  /** An element ends here; an array's last may be none at all. */
  private take(text: string, elements: string[], isLast: boolean): void {
    const element = [...this.begun, text].join('');
    this.begun = [];
    this.length = 0;
    if (element.trim() !== '') {
      elements.push(element);
      this.hasElements = true;
    } else if (!isLast || this.hasElements) throw new NotJson('a comma stands before nothing');
  }

  private keep(text: string): void {
    if (this.place === 'inside') {
      this.begun.push(text);
      this.length += text.length;
    } else this.around += text;
    if (this.length > MAX_ELEMENT || this.around.length > MAX_ELEMENT)
      throw new NotJson(`one value is longer than ${MAX_ELEMENT} characters`);
  }
}

const isRows = (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isObject);

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
