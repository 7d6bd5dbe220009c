/** Tokens by text and by id. */
export class Vocabulary {
  private readonly ids = new Map<string, number>();
  private readonly texts: string[] = [];
  /** -1 where a byte has no token of its own (<0x00> ...) */
  private bytes?: Int32Array;

  constructor(entries: Iterable<readonly [text: string, id: number]>) {
    for (const [text, id] of entries) {
      this.ids.set(text, id);
      this.texts[id] = text;
    }
  }

  get size(): number {
    return this.ids.size;
  }

  id(text: string): number | undefined {
    return this.ids.get(text);
  }

  text(id: number): string | undefined {
    return this.texts[id];
  }

  entries(): Iterable<[string, number]> {
    return this.ids.entries();
  }

  /** the ids of the tokens <0x..> of a text's UTF-8 bytes; undefined unless there is one for each */
  byteIds(text: string): number[] | undefined {
    this.bytes ??= Int32Array.from({ length: 256 }, (_, byte) => this.ids.get(byteToken(byte)) ?? -1);
    const ids = Array.from(Buffer.from(text, 'utf8'), (byte) => this.bytes![byte]!);
    return ids.includes(-1) ? undefined : ids;
  }
}

const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** The byte that a token <0x..> stands for. */
export function byteOfToken(token: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? parseInt(token.slice(3, 5), 16) : undefined;
}
