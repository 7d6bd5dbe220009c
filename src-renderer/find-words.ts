/** Small letters without their marks, as people search: "Größe" is found by "große", too. */
export const plainText = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

/** True where every word of `query` occurs in `text`; of none, always. */
export function holdsWords(text: string, query: string): boolean {
  const plain = plainText(text);
  return plainText(query.trim())
    .split(/\s+/)
    .every((word) => plain.includes(word));
}
