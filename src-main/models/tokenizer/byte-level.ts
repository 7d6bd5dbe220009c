import { mapCharacters, type Piece } from './piece.ts';

/** GPT-2 writes bytes as printable characters: itself where it is one, else from U+0100 on, in order. */
export const BYTE_CHARACTERS: string[] = [];
export const CHARACTER_BYTES = new Map<string, number>();
let next = 256;
for (let byte = 0; byte < 256; byte++) {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const character = String.fromCharCode(printable ? byte : next++);
  BYTE_CHARACTERS.push(character);
  CHARACTER_BYTES.set(character, byte);
}

const encoder = new TextEncoder();
const inBytes = (character: string) => Array.from(encoder.encode(character), (byte) => BYTE_CHARACTERS[byte]!).join('');

/** A piece with its UTF-8 bytes as characters; each has the span of the character it is a byte of. */
export const byteCharacters = (piece: Piece): Piece => mapCharacters(piece, inBytes);
