const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** The first `most` characters of a text as a person counts them: no emoji and no letter with its accents is cut in two. */
export function shortened(text: string, most: number, end = ''): string {
  if (text.length <= most) return text;
  let shown = '';
  let count = 0;
  for (const { segment } of characters.segment(text)) {
    if (count === most) return shown + end;
    shown += segment;
    count += 1;
  }
  return text;
}
