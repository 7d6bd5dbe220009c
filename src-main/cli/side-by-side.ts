/** Two texts in columns beside each other, words wrapped. */
export function sideBySide(titleA: string, a: string, titleB: string, b: string, columns: number): string {
  const width = Math.max(16, Math.floor((columns - 3) / 2));
  const left = [titleA, '-'.repeat(width), ...wrap(a, width)];
  const right = [titleB, '-'.repeat(width), ...wrap(b, width)];
  const height = Math.max(left.length, right.length);
  return Array.from({ length: height }, (_, i) =>
    `${(left[i] ?? '').padEnd(width)} | ${right[i] ?? ''}`.trimEnd(),
  ).join('\n');
}

/** Lines of at most `width` characters, broken between words where possible. */
function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines = [''];
    for (const word of paragraph.split(' ').flatMap((long) => cut(long, width))) {
      const last = lines.at(-1)!;
      if (last === '') lines[lines.length - 1] = word;
      else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
      else lines.push(word);
    }
    return lines;
  });
}

const cut = (word: string, width: number) => word.match(new RegExp(`.{1,${width}}`, 'gu')) ?? [''];
