// Kinds of pictures beside the example's, for a mix in which unlike things are asked: boards, clocks, and what stands beside what.
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { Choice, COLOR_NAMES, GROUNDS, NUMBERS, SHAPES, shape, svg, yesOrNo, type Color, type Drawn } from '../../resources/picture-examples/make/drawing.ts'; // prettier-ignore
import { randomStream } from '../../src-main/engine/random.ts';

const SEED = 20261130;
const QUESTIONS = 3;
/** pictures of each kind */
const PICTURES = { train: 200, 'held-out': 40 };

const ROWS = ['top', 'middle', 'bottom'];
const COLUMNS = ['left', 'middle', 'right'];
const HOURS = [...NUMBERS, 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];

/** Crosses and rings on a board of three by three. */
function board(choice: Choice): Drawn {
  const cells = Array.from({ length: 9 }, () => choice.one(['cross', 'ring', 'nothing']));
  const drawn = cells.map((is, i) => {
    const [x, y] = [20 + 30 * (i % 3), 20 + 30 * Math.floor(i / 3)];
    if (is === 'ring') return `<circle cx="${x}" cy="${y}" r="9" fill="none" stroke="#2a5cd8" stroke-width="5"/>`;
    if (is === 'nothing') return '';
    return `<path d="M${x - 9} ${y - 9} l18 18 m0 -18 l-18 18" stroke="#d42b2b" stroke-width="5"/>`;
  });
  const place = choice.whole(0, 8);
  const count = (what: string) => cells.filter((is) => is === what).length;
  const more = count('cross') - count('ring');
  return {
    elements: `<path d="M35 5 v90 M65 5 v90 M5 35 h90 M5 65 h90" stroke="#1a1a1a" stroke-width="3"/>${drawn.join('')}`,
    asked: [
      { question: `What stands in the ${ROWS[Math.floor(place / 3)]} row, ${COLUMNS[place % 3]} column?`, answer: cells[place]! }, // prettier-ignore
      { question: 'Are there more crosses or more rings?', answer: more > 0 ? 'crosses' : more < 0 ? 'rings' : 'neither' }, // prettier-ignore
      { question: 'Is the middle of the board free?', answer: yesOrNo(cells[4] === 'nothing') },
    ],
  };
}

/** A clock at a full or half hour. */
function clock(choice: Choice): Drawn {
  const [hour, half, color] = [choice.whole(1, 12), choice.whole(0, 1) === 1, choice.one(COLOR_NAMES)];
  const hand = (turn: number, length: number, width: number) => {
    const angle = 2 * Math.PI * turn - Math.PI / 2;
    return `<path d="M50 50 L${(50 + length * Math.cos(angle)).toFixed(2)} ${(50 + length * Math.sin(angle)).toFixed(2)}" stroke="#1a1a1a" stroke-width="${width}"/>`;
  };
  return {
    elements:
      shape('circle', 50, 50, 44, color) +
      '<circle cx="50" cy="50" r="36" fill="#ffffff"/>' +
      hand((hour + (half ? 0.5 : 0)) / 12, 18, 6) +
      hand(half ? 0.5 : 0, 30, 3),
    asked: [
      { question: 'What time does the clock show?', answer: half ? `half past ${HOURS[hour]!}` : `${HOURS[hour]!} o'clock` }, // prettier-ignore
      { question: 'Is it a full hour?', answer: yesOrNo(!half) },
      { question: 'What color is the rim of the clock?', answer: color },
    ],
  };
}

/** Two shapes, said in a sentence. */
function pair(choice: Choice): Drawn {
  const [one, other] = choice.some(COLOR_NAMES, 2) as [Color, Color];
  const [first, second] = [{ color: one, kind: choice.one(SHAPES) }, { color: other, kind: choice.one(SHAPES) }]; // prettier-ignore
  const beside = choice.whole(0, 1) === 1;
  const at = ({ color, kind }: typeof first, along: number) =>
    beside ? shape(kind, along, 50, 19, color) : shape(kind, 50, along, 19, color);
  const name = ({ color, kind }: typeof first) => `a ${color} ${kind}`.replace('a orange', 'an orange');
  return {
    elements: at(first, 27) + at(second, 73),
    asked: [
      { question: 'Describe the picture.', answer: `${name(first)} ${beside ? 'left of' : 'above'} ${name(second)}` },
      { question: `What is ${beside ? 'on the right' : 'below'}?`, answer: name(second) },
      { question: `What is ${beside ? 'on the left' : 'above'}?`, answer: name(first) },
    ],
  };
}

const KINDS = { boards: board, clocks: clock, pairs: pair };
export const MIX = Object.keys(KINDS);

/** Draws each kind into `<folder>/<kind>/<part>/`: pictures, and metadata.csv with their questions. The same at each call. */
export async function drawMix(folder: string): Promise<void> {
  for (const [kind, draw] of Object.entries(KINDS)) {
    const seen = new Set<string>();
    for (const [part, pictures] of Object.entries(PICTURES)) {
      const into = path.join(folder, kind, part);
      await fs.mkdir(into, { recursive: true });
      const lines = ['image,question,answer'];
      for (let i = 0, attempt = 0; i < pictures; attempt++) {
        const choice = new Choice(randomStream(SEED, `${kind} ${part} ${attempt}`));
        const { elements, asked } = draw(choice);
        const painted = svg(elements, choice.one(GROUNDS), 128);
        if (seen.has(elements)) continue;
        seen.add(elements);
        const name = `${String(++i).padStart(3, '0')}.webp`;
        await sharp(Buffer.from(painted)).removeAlpha().webp({ lossless: true }).toFile(path.join(into, name));
        for (const { question, answer } of choice.some(asked, Math.min(QUESTIONS, asked.length)))
          lines.push(`${name},"${question}",${answer}`);
      }
      await fs.writeFile(path.join(into, 'metadata.csv'), `${lines.join('\n')}\n`);
    }
  }
}
