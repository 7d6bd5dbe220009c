/** Colours that a question can be about; no two of them are alike. */
export const COLORS = {
  ...{ red: '#d42b2b', orange: '#f58a1f', yellow: '#f6d335', green: '#2c9b4b', blue: '#2a5cd8', purple: '#873cb5' },
  ...{ pink: '#f28fc3', brown: '#784a28', black: '#1a1a1a', gray: '#8b8b8b' },
} as const;
export type Color = keyof typeof COLORS;
export const COLOR_NAMES = Object.keys(COLORS) as Color[];
/** What nothing but the ground is painted in. */
export const GROUNDS = ['#eaf2f8', '#fdf3dc', '#e6f4e4', '#f4e9f6', '#ffffff'];
export const NUMBERS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six'];

export interface Asked {
  question: string;
  /** one word in small letters */
  answer: string;
}

/** A picture in a square of 100 units, and all that can be asked about it. */
export interface Drawn {
  elements: string;
  asked: Asked[];
}

/** Random choices of one picture. */
export class Choice {
  constructor(private readonly random: () => number) {}

  /** A whole number of [low, high]. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  one<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }

  /** So many different ones, in random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: count }, () => rest.splice(Math.floor(this.random() * rest.length), 1)[0]!);
  }
}

export const SHAPES = ['circle', 'square', 'triangle', 'star'] as const;
export type Shape = (typeof SHAPES)[number];

const number = (value: number) => Number(value.toFixed(2));
const polygon = (points: [number, number][], fill: string) =>
  `<polygon points="${points.map(([x, y]) => `${number(x)},${number(y)}`).join(' ')}" fill="${fill}"/>`;

/** A shape around a point; `reach` is half its width. */
export function shape(kind: Shape, x: number, y: number, reach: number, color: Color): string {
  const fill = COLORS[color];
  if (kind === 'circle') return `<circle cx="${x}" cy="${y}" r="${reach}" fill="${fill}"/>`;
  if (kind === 'square') return rectangle(x - reach, y - reach, 2 * reach, 2 * reach, fill);
  if (kind === 'triangle')
    return polygon([[x, y - reach], [x + reach, y + reach], [x - reach, y + reach]], fill); // prettier-ignore
  const corner = (i: number): [number, number] => {
    const [angle, far] = [(Math.PI * i) / 5 - Math.PI / 2, i % 2 === 0 ? reach : 0.42 * reach];
    return [x + far * Math.cos(angle), y + far * Math.sin(angle)];
  };
  return polygon(Array.from({ length: 10 }, (_, i) => corner(i)), fill); // prettier-ignore
}

export const rectangle = (x: number, y: number, width: number, height: number, fill: string) =>
  `<rect x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" fill="${fill}"/>`;

/** The whole picture, `side` pixels wide and high. */
export const svg = (elements: string, ground: string, side: number) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 100 100">${rectangle(0, 0, 100, 100, ground)}${elements}</svg>`;

export const yesOrNo = (is: boolean) => (is ? 'yes' : 'no');
