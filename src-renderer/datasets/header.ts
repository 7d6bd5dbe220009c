/**
 * Whether the first line of copied cells names the columns: short cells, each another, none a question or a sentence, and shorter than
 * those below.
 */
export function looksLikeHeader(text: string): boolean {
  const [first = '', ...others] = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const names = first.split('\t').map((cell) => cell.trim());
  if (others.length === 0 || names.some((name) => name === '' || /[?？.!]$/.test(name))) return false;
  if (new Set(names).size < names.length || names.some((name) => name.split(/\s+/).length > 4)) return false;
  const longest = Math.max(...others.slice(0, 20).map((line) => line.length));
  return first.length < longest;
}
