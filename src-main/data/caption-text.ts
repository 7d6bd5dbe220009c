/** A caption with the word that what is learned is to be called by before it, unless it has that word. */
export function captionWith(caption: string, { trigger }: { trigger?: string }): string {
  const word = trigger?.trim();
  if (!word || holdsWord(caption, word)) return caption;
  return caption === '' ? word : `${word}, ${caption}`;
}

/** Whether a text has a word, or several, on their own. */
function holdsWord(text: string, word: string): boolean {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}_])${escaped}(?![\\p{L}\\p{N}_])`, 'iu').test(text);
}
