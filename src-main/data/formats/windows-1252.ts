/** What the bytes 0x80 to 0x9f stand for; blank where for nothing. (Node 20's own decoder takes them for Latin-1.) */
const LETTERS = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

/** Text in Windows-1252. */
export function decodeWindows1252(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .replace(/[\x80-\x9f]/g, (letter) => LETTERS[letter.charCodeAt(0) - 0x80]!);
}

/**
 * Whether bytes that are no UTF-8 are western text in Windows-1252: letters beyond ASCII stand alone or in pairs (longer runs are
 * another alphabet's), hardly ever form UTF-8 (which then is damaged), and each stands for something.
 */
export function isWindows1252(bytes: Uint8Array): boolean {
  const asUtf8 = new TextDecoder().decode(bytes);
  const damaged = asUtf8.split('\ufffd').length - 1;
  const letters = asUtf8.replace(/[\0-\x7f\ufffd]/g, '').length;
  if (letters > damaged / 10) return false;
  let run = 0;
  let alone = 0;
  let inRuns = 0;
  const endRun = () => {
    if (run > 2) inRuns += run;
    else alone += run;
    run = 0;
  };
  for (const byte of bytes) {
    if (byte >= 0x80 && byte < 0xa0 && LETTERS[byte - 0x80] === ' ') return false;
    if (byte >= 0x80) run++;
    else if (run > 0) endRun();
  }
  endRun();
  return alone > inRuns;
}
