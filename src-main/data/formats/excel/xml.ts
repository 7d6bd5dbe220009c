import sax from 'sax';

/** What is told of a part: names without their prefix. */
export interface XmlHandlers {
  open?(name: string, attributes: Record<string, string>): void;
  close?(name: string): void;
  /** a text, or a piece of one */
  text?(text: string): void;
}

/** No part of a workbook is nested deeper. */
const MAX_DEPTH = 64;

/** Reads XML; gives what `take` has gathered from the handlers after every piece. @throws Error where it is not well-formed */
export async function* scannedXml<T>(
  pieces: AsyncIterable<string>,
  handlers: XmlHandlers,
  take: () => T,
): AsyncGenerator<T> {
  const parser = new sax.SAXParser(true, { strictEntities: true } as object);
  let depth = 0;
  parser.onopentag = ({ name, attributes }) => {
    if (++depth > MAX_DEPTH) throw new Error(`its XML is nested deeper than ${MAX_DEPTH}`);
    handlers.open?.(local(name), attributes as Record<string, string>);
  };
  parser.onclosetag = (name) => {
    depth--;
    handlers.close?.(local(name));
  };
  parser.ontext = parser.oncdata = (text) => handlers.text?.(text);
  parser.ondoctype = () => {
    throw new Error('its XML declares a document type, which a workbook never does');
  };
  parser.onerror = (error) => {
    throw new Error(error.message.replace(/\n.*/s, ''));
  };
  for await (const piece of pieces) {
    parser.write(piece);
    yield take();
  }
  parser.close();
  yield take();
}

/** Reads XML to its end. */
export async function readXml(pieces: AsyncIterable<string>, handlers: XmlHandlers): Promise<void> {
  const steps = scannedXml(pieces, handlers, () => {});
  while (!(await steps.next()).done);
}

/** An attribute whose prefix a workbook may choose (`r:id`). */
export const prefixed = (attributes: Record<string, string>, name: string): string | undefined =>
  Object.entries(attributes).find(([key]) => key.includes(':') && local(key) === name)?.[1];

const local = (name: string) => name.slice(name.indexOf(':') + 1);
