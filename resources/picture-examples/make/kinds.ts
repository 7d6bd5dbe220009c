import { COLOR_NAMES, COLORS, NUMBERS, SHAPES, rectangle, shape, yesOrNo } from './drawing.ts';
import type { Asked, Choice, Color, Drawn, Shape } from './drawing.ts';

interface Placed {
  shape: Shape;
  color: Color;
  x: number;
  y: number;
  reach: number;
}

/** Two to five shapes, large or small, each in a part of its own. */
function shapes(choice: Choice): Drawn {
  const cells = choice.some([0, 1, 2, 3, 4, 5], choice.whole(2, 5));
  const placed = cells.map((cell): Placed => {
    const reach = choice.one([8, 13]);
    const free = 14 - reach;
    return {
      ...{ shape: choice.one(SHAPES), color: choice.one(COLOR_NAMES), reach },
      ...{ x: 17 + 33 * (cell % 3) + choice.whole(-free, free), y: 27 + 46 * Math.floor(cell / 3) + choice.whole(-6, 6) },
    }; // prettier-ignore
  });
  return {
    elements: placed.map((one) => shape(one.shape, one.x, one.y, one.reach, one.color)).join(''),
    asked: aboutShapes(choice, placed),
  };
}

function aboutShapes(choice: Choice, placed: Placed[]): Asked[] {
  const count = (is: (one: Placed) => boolean) => placed.filter(is).length;
  const alone = placed.filter((one) => count((other) => other.shape === one.shape) === 1);
  const named = placed.filter((one) => count((other) => other.color === one.color) === 1);
  const [kind, color] = [choice.one(SHAPES), choice.one(COLOR_NAMES)];
  const asked: Asked[] = [
    { question: `How many ${kind}s are there?`, answer: NUMBERS[count((one) => one.shape === kind)]! },
    { question: 'How many shapes are there?', answer: NUMBERS[placed.length]! },
    { question: `Is there a ${kind}?`, answer: yesOrNo(count((one) => one.shape === kind) > 0) },
    isThere(choice, placed, color),
  ];
  if (alone.length > 0) {
    const one = choice.one(alone);
    asked.push({ question: `What color is the ${one.shape}?`, answer: one.color });
    asked.push({ question: `Is the ${one.shape} large or small?`, answer: one.reach > 10 ? 'large' : 'small' });
    asked.push({ question: `Is the ${one.shape} in the upper or the lower half?`, answer: one.y < 50 ? 'upper' : 'lower' }); // prettier-ignore
  }
  if (named.length > 0) {
    const one = choice.one(named);
    asked.push({ question: `What shape is ${one.color}?`, answer: one.shape });
  }
  if (alone.length > 1) {
    const [one, other] = choice.some(alone, 2) as [Placed, Placed];
    if (Math.abs(one.x - other.x) > 16)
      asked.push({ question: `Is the ${one.shape} left of the ${other.shape}?`, answer: yesOrNo(one.x < other.x) });
  }
  return asked;
}

/** As often of a colour that is there as of one that may not be. */
function isThere(choice: Choice, placed: Placed[], other: Color): Asked {
  const color = choice.whole(0, 1) ? choice.one(placed).color : other;
  return { question: `Is anything ${color}?`, answer: yesOrNo(placed.some((one) => one.color === color)) };
}

/** Three to five bars of different heights on one line. */
function bars(choice: Choice): Drawn {
  const colors = choice.some(COLOR_NAMES, choice.whole(3, 5));
  const heights = choice.some([14, 28, 42, 56, 70, 80], colors.length);
  const [pitch, left] = [90 / colors.length, 5];
  const byHeight = colors.map((color, i) => ({ color, height: heights[i]! })).sort((a, b) => a.height - b.height);
  const [one, other] = choice.some(byHeight, 2) as [(typeof byHeight)[0], (typeof byHeight)[0]];
  return {
    elements: colors.map((color, i) => rectangle(left + i * pitch + 2, 92 - heights[i]!, pitch - 4, heights[i]!, COLORS[color])).join(''), // prettier-ignore
    asked: [
      { question: 'What color is the tallest bar?', answer: byHeight.at(-1)!.color },
      { question: 'What color is the shortest bar?', answer: byHeight[0]!.color },
      { question: 'How many bars are there?', answer: NUMBERS[colors.length]! },
      { question: `Is the ${one.color} bar taller than the ${other.color} bar?`, answer: yesOrNo(one.height > other.height) }, // prettier-ignore
      { question: 'What color is the bar on the left?', answer: colors[0]! },
    ],
  };
}

/** Where the pips of a die are, in thirds from its middle. */
const PIPS: [number, number][][] = [
  [[0, 0]],
  [[-1, -1], [1, 1]],
  [[-1, -1], [0, 0], [1, 1]],
  [[-1, -1], [1, -1], [-1, 1], [1, 1]],
  [[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]],
  [[-1, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [1, 1]],
]; // prettier-ignore

function die(choice: Choice): Drawn {
  const [color, number, reach] = [choice.one(COLOR_NAMES), choice.whole(1, 6), choice.whole(28, 40)];
  const [x, y] = [choice.whole(reach + 2, 98 - reach), choice.whole(reach + 2, 98 - reach)];
  const pip = ([across, down]: [number, number]) =>
    `<circle cx="${x + across * reach * 0.56}" cy="${y + down * reach * 0.56}" r="${reach * 0.17}" fill="#f4f4f0"/>`;
  return {
    elements: shape('square', x, y, reach, color) + PIPS[number - 1]!.map(pip).join(''),
    asked: [
      { question: 'What number does the die show?', answer: NUMBERS[number]! },
      { question: 'What color is the die?', answer: color },
      { question: 'Is the number on the die even or odd?', answer: number % 2 === 0 ? 'even' : 'odd' },
      { question: 'Does the die show more than three?', answer: yesOrNo(number > 3) },
    ],
  };
}

/** Three stripes side by side or on top of each other. */
function flag(choice: Choice): Drawn {
  const colors = choice.some(COLOR_NAMES, 3) as [Color, Color, Color];
  const lying = choice.whole(0, 1) === 1;
  const stripe = (color: Color, i: number) =>
    lying ? rectangle(8, 20 + 20 * i, 84, 20, COLORS[color]) : rectangle(8 + 28 * i, 20, 28, 60, COLORS[color]);
  const [end, color] = choice.one([[lying ? 'top' : 'left', colors[0]], [lying ? 'bottom' : 'right', colors[2]]]); // prettier-ignore
  const named = choice.one(colors.slice(0, 2));
  return {
    elements: colors.map(stripe).join(''),
    asked: [
      { question: 'What color is the middle stripe?', answer: colors[1] },
      { question: `What color is the stripe at the ${end}?`, answer: color! },
      { question: 'Are the stripes horizontal or vertical?', answer: lying ? 'horizontal' : 'vertical' },
      { question: `Is the middle stripe ${named}?`, answer: yesOrNo(named === colors[1]) },
    ],
  };
}

/** A gauge from 0 on the left to its end on the right, and a hand. */
function gauge(choice: Choice): Drawn {
  const [color, part] = [choice.one(COLOR_NAMES), choice.whole(0, 2)];
  const degrees = 180 - (part * 60 + choice.whole(8, 52));
  const [x, y] = [50 + 36 * Math.cos((degrees * Math.PI) / 180), 76 - 36 * Math.sin((degrees * Math.PI) / 180)];
  return {
    elements:
      `<path d="M8 76 A42 42 0 0 1 92 76 Z" fill="#ffffff" stroke="#5a6672" stroke-width="3"/>` +
      `<path d="M50 76 L${x.toFixed(2)} ${y.toFixed(2)}" stroke="${COLORS[color]}" stroke-width="7"/>`,
    asked: [
      { question: 'What does the gauge show, low, medium or high?', answer: ['low', 'medium', 'high'][part]! },
      { question: 'What color is the hand of the gauge?', answer: color },
      { question: 'Is the gauge high?', answer: yesOrNo(part === 2) },
      { question: 'Does the hand point left or right?', answer: degrees > 90 ? 'left' : 'right' },
    ].filter(({ answer }) => !['left', 'right'].includes(answer) || Math.abs(degrees - 90) > 8),
  };
}

/** A round face that smiles or doesn't. */
function face(choice: Choice): Drawn {
  const colors = COLOR_NAMES.filter((color) => color !== 'black');
  const [color, smiles, reach] = [choice.one(colors), choice.whole(0, 1) === 1, choice.whole(28, 44)];
  const [x, y] = [choice.whole(reach + 3, 97 - reach), choice.whole(reach + 3, 97 - reach)];
  const eye = (side: number) => shape('circle', x + side * reach * 0.36, y - reach * 0.28, reach * 0.13, 'black');
  const [ends, middle] = smiles ? [0.25, 0.75] : [0.6, 0.1];
  const mouth = `<path d="M${x - reach * 0.5} ${y + reach * ends} Q${x} ${y + reach * middle} ${x + reach * 0.5} ${y + reach * ends}" fill="none" stroke="${COLORS.black}" stroke-width="${reach * 0.14}"/>`; // prettier-ignore
  return {
    elements: shape('circle', x, y, reach, color) + eye(-1) + eye(1) + mouth,
    asked: [
      { question: 'Is the face happy or sad?', answer: smiles ? 'happy' : 'sad' },
      { question: 'What color is the face?', answer: color },
      { question: 'Does the face smile?', answer: yesOrNo(smiles) },
    ],
  };
}

/** How to draw each kind of picture; of ten pictures, how many are of it stands in `SHARES`. */
export const KINDS = { shapes, bars, die, flag, gauge, face };
export type Kind = keyof typeof KINDS;
export const SHARES: Kind[] = [
  ...(['shapes', 'bars', 'shapes', 'die', 'shapes', 'flag', 'shapes', 'gauge', 'shapes', 'face'] as const),
];
