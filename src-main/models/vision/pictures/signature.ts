import { UserError } from '../../../engine/types.ts';

const letters = (bytes: Uint8Array, from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));

const PNG = '\x89PNG\r\n\x1a\n';

/** What a picture is by its first bytes. @throws UserError when it is none that is read */
export function kindOf(bytes: Uint8Array, name: string): 'PNG' | 'JPEG' | 'WebP' {
  if (letters(bytes, 0, 8) === PNG) return 'PNG';
  if (letters(bytes, 0, 3) === '\xff\xd8\xff') return 'JPEG';
  if (letters(bytes, 0, 4) === 'RIFF' && letters(bytes, 8, 12) === 'WEBP') return 'WebP';
  const what = bytes.byteLength === 0 ? 'is empty' : otherKind(bytes);
  throw new UserError(`${name} ${what}; PNG, JPEG and WebP are read, save it as one of these`);
}

const OTHERS: [at: number, text: string, what: string][] = [
  [0, 'GIF8', 'is a GIF'],
  [0, 'BM', 'is a BMP'],
  [0, 'II*\0', 'is a TIFF'],
  [0, 'MM\0*', 'is a TIFF'],
  [4, 'ftypavi', 'is an AVIF'],
  [4, 'ftyp', 'is a HEIC picture or a film'],
  [0, '%PDF', 'is a PDF'],
  [0, '<', 'is an SVG or a web page'],
];

function otherKind(bytes: Uint8Array): string {
  return OTHERS.find(([at, text]) => letters(bytes, at, at + text.length) === text)?.[2] ?? 'is no picture';
}

/** An animated PNG says so in a chunk before its first picture. @throws UserError */
export function refuseAnimatedPng(bytes: Uint8Array, name: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = PNG.length; at + 8 <= bytes.byteLength; at += 12 + view.getUint32(at)) {
    const chunk = letters(bytes, at + 4, at + 8);
    if (chunk === 'IDAT') return;
    if (chunk === 'acTL') throw new UserError(`${name} is animated; save one of its frames as a picture`);
  }
}
