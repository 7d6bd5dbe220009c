import { called, type Blob, type Pixels } from './blobs.ts';

const NUMBERS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six'];
const yesOrNo = (is: boolean) => (is ? 'yes' : 'no');

/** Answers a question of the example pictures by their pixels alone. @throws for a question that is not known */
export function answerByPixels(picture: Pixels, question: string): string {
  const reader = READERS.find(([about]) => about.test(question));
  if (!reader) throw new Error(`no reader for: ${question}`);
  for (const [pattern, answer] of reader[1](picture)) {
    const match = pattern.exec(question);
    if (match) return answer(...match.slice(1));
  }
  throw new Error(`no answer to: ${question}`);
}

type Answers = [RegExp, (...words: string[]) => string][];

function shapes(picture: Pixels): Answers {
  const blobs = picture.blobs;
  const of = (shape: string) => blobs.filter((blob) => blob.shape === shape);
  const only = (found: Blob[]) => {
    if (found.length !== 1) throw new Error(`${found.length} where one is asked about`);
    return found[0]!;
  };
  return [
    [/^How many shapes/, () => NUMBERS[blobs.length]!],
    [/^How many (\w+)s are there/, (shape) => NUMBERS[of(shape!).length]!],
    [/^Is there a (\w+)\?/, (shape) => yesOrNo(of(shape!).length > 0)],
    [/^Is anything (\w+)\?/, (color) => yesOrNo(blobs.some((blob) => blob.color === color))],
    [/^What color is the (\w+)\?/, (shape) => only(of(shape!)).color],
    [/^What shape is (\w+)\?/, (color) => only(blobs.filter((blob) => blob.color === color)).shape],
    [/^Is the (\w+) large or small/, (shape) => (only(of(shape!)).width > 0.2 ? 'large' : 'small')],
    [/^Is the (\w+) in the upper or the lower/, (shape) => (only(of(shape!)).y < 0.5 ? 'upper' : 'lower')],
    [/^Is the (\w+) left of the (\w+)/, (one, other) => yesOrNo(only(of(one!)).x < only(of(other!)).x)],
  ];
}

function bars(picture: Pixels): Answers {
  const blobs = picture.blobs;
  const byHeight = [...blobs].sort((a, b) => a.height - b.height);
  const height = (color: string) => blobs.find((blob) => blob.color === color)!.height;
  return [
    [/tallest/, () => byHeight.at(-1)!.color],
    [/shortest/, () => byHeight[0]!.color],
    [/^How many/, () => NUMBERS[blobs.length]!],
    [/the (\w+) bar taller than the (\w+) bar/, (one, other) => yesOrNo(height(one!) > height(other!))],
    [/on the left/, () => blobs[0]!.color],
  ];
}

function die(picture: Pixels): Answers {
  const [blob] = picture.blobs as [Blob];
  const inside = (at: number, from: number, length: number) => at / picture.side > from + 0.04 && at / picture.side < from + length - 0.04; // prettier-ignore
  const pips = picture.parts(
    (pixel, x, y) =>
      inside(x, blob.left, blob.width) && inside(y, blob.top, blob.height) && Math.min(...pixel) > 200,
  ).length; // prettier-ignore
  return [
    [/^What number/, () => NUMBERS[pips]!],
    [/^What color/, () => blob.color],
    [/even or odd/, () => (pips % 2 === 0 ? 'even' : 'odd')],
    [/more than three/, () => yesOrNo(pips > 3)],
  ];
}

function stripes(picture: Pixels): Answers {
  const at = (x: number, y: number) => called(picture.around(x, y));
  const lying = at(0.5, 0.3) !== at(0.5, 0.5);
  return [
    [/middle stripe (\w+)\?/, (color) => yesOrNo(at(0.5, 0.5) === color)],
    [/middle stripe/, () => at(0.5, 0.5)],
    [/at the top/, () => at(0.5, 0.3)],
    [/at the bottom/, () => at(0.5, 0.7)],
    [/at the left/, () => at(0.2, 0.5)],
    [/at the right/, () => at(0.8, 0.5)],
    [/horizontal or vertical/, () => (lying ? 'horizontal' : 'vertical')],
  ];
}

function gauge(picture: Pixels): Answers {
  const near = picture.where((_, x, y) => Math.hypot(x / picture.side - 0.5, y / picture.side - 0.76) < 0.34);
  const hand = picture.usual(near, [picture.ground, [255, 255, 255], [90, 102, 114]]);
  const places = near.filter(([x, y]) => picture.at(x, y).join() === hand.join());
  const mean = (axis: 0 | 1) => places.reduce((sum, place) => sum + place[axis] + 0.5, 0) / places.length / picture.side; // prettier-ignore
  const degrees = (Math.atan2(0.76 - mean(1), mean(0) - 0.5) * 180) / Math.PI;
  const shown = ['high', 'medium', 'low'][Math.floor(degrees / 60)]!;
  return [
    [/low, medium or high/, () => shown],
    [/color/, () => called(hand)],
    [/Is the gauge high/, () => yesOrNo(shown === 'high')],
    [/left or right/, () => (degrees > 90 ? 'left' : 'right')],
  ];
}

function face(picture: Pixels): Answers {
  const [blob] = picture.blobs as [Blob];
  const mouth = picture.where((pixel, _, y) => Math.max(...pixel) < 50 && y / picture.side > blob.y);
  const xs = mouth.map(([x]) => x);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const height = (part: [number, number][]) => part.reduce((sum, [, y]) => sum + y, 0) / part.length;
  const outer = mouth.filter(([x]) => Math.abs(x - (left + right) / 2) > (right - left) / 3);
  const smiles = height(outer) < height(mouth.filter((place) => !outer.includes(place)));
  return [
    [/happy or sad/, () => (smiles ? 'happy' : 'sad')],
    [/color/, () => blob.color],
    [/smile/, () => yesOrNo(smiles)],
  ];
}

const READERS: [RegExp, (picture: Pixels) => Answers][] = [
  [/\bbars?\b/, bars],
  [/\bdie\b/, die],
  [/\bstripes?\b/, stripes],
  [/\b(gauge|hand)\b/, gauge],
  [/\bface\b/, face],
  [/./, shapes],
];
