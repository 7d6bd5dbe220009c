/**
 * How far an answer agrees with those of several people, as VQA (arXiv 1505.00468) and VizWiz (arXiv 1802.08218) measure it: 1 where
 * three others gave it, a third for each of fewer, averaged over all choices that leave one of them out.
 */
export function agreement(answer: string, given: string[]): number {
  const ours = comparable(answer);
  const matches = given.filter((one) => comparable(one) === ours).length;
  // Leaving out one that matches leaves one match less.
  const without = (left: number) => Math.min(1, left / 3);
  return (matches * without(matches - 1) + (given.length - matches) * without(matches)) / given.length;
}

const NUMBERS = new Map(
  ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'].map((word, i) => [word, String(i)]), // prettier-ignore
).set('none', '0');
const ARTICLES = new Set(['a', 'an', 'the']);
const MARKS = [...';/[]"{}()=+\\_-><@`,?!'];

/** Contractions that are written again where one of their apostrophes is left out. */
const CONTRACTIONS = new Map(
  `ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd how'll
  how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't
  she'd've should've shouldn't shouldn't've somebody'd somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's
  something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas
  wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll
  why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've`
    .split(/\s+/)
    .flatMap((whole) =>
      [...whole.matchAll(/'/g)].map(({ index }): [string, string] => [
        whole.slice(0, index) + whole.slice(index + 1),
        whole,
      ]),
    ),
);

/**
 * An answer as the official VQA evaluation compares it (visualqa.org/evaluation): in lower case, without punctuation but apostrophes,
 * colons and decimal points, without articles, numbers up to ten as digits, contractions with their apostrophes. People's answers, too.
 */
export function comparable(answer: string): string {
  const text = answer.trim().replace(/[\n\t]/g, ' ');
  const joinsDigits = /\d,\d/.test(text);
  const unmarked = MARKS.reduce((rest, mark) => {
    const isBare = joinsDigits || text.includes(`${mark} `) || text.includes(` ${mark}`);
    return rest.replaceAll(mark, isBare ? '' : ' ');
  }, text);
  return unmarked
    .replace(/\.(?!\d)/g, '')
    .toLowerCase()
    .split(/\s+/)
    .map((word) => NUMBERS.get(word) ?? word)
    .filter((word) => word !== '' && !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(' ');
}
