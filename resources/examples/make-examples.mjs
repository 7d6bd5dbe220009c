// Makes the project's own example data: `node make-examples.mjs` writes train.jsonl and held-out.jsonl beside it.
// All text is original. Seven kinds of task, so that the heads of a site have something to differ on.
import fs from 'node:fs';

let state = 20240607;
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const pick = (list) => list[Math.floor(random() * list.length)];
const between = (low, high) => low + Math.floor(random() * (high - low + 1));

const NAMES = ['Mara', 'Jonas', 'Ines', 'Pavel', 'Aiko', 'Lior', 'Nadia', 'Tomás', 'Greta', 'Samir', 'Wanda', 'Oskar'];
const GOODS = [
  ['notebooks', 3],
  ['lanterns', 14],
  ['jars of honey', 7],
  ['flower pots', 5],
  ['tickets', 9],
  ['maps', 4],
  ['candles', 2],
  ['scarves', 12],
];

function arithmetic() {
  const [name, other] = [pick(NAMES), pick(NAMES)];
  const [goods, price] = pick(GOODS);
  const count = between(2, 9);
  const gift = between(1, 20);
  const paid = count * price;
  return pick([
    () => ({
      instruction: `${name} buys ${count} ${goods} at ${price} coins each and a bag for ${gift} coins. How many coins does ${name} pay?`,
      output: `The ${goods} cost ${count} * ${price} = ${paid} coins. With the bag that makes ${paid} + ${gift} = ${paid + gift} coins. The answer is ${paid + gift}.`,
      answer: String(paid + gift),
    }),
    () => ({
      instruction: `A workshop packs ${goods} in boxes of ${count}. How many ${goods} are in ${gift + 1} boxes, if one of them is taken out again?`,
      output: `${gift + 1} boxes hold ${gift + 1} * ${count} = ${(gift + 1) * count}. One is taken out, so ${(gift + 1) * count} - 1 = ${(gift + 1) * count - 1} are left. The answer is ${(gift + 1) * count - 1}.`,
      answer: String((gift + 1) * count - 1),
    }),
    () => ({
      instruction: `${name} has ${paid + gift} coins and gives ${gift} of them to ${other === name ? 'a friend' : other}. The rest is shared by ${count} children. How many coins does each child get?`,
      output: `After the gift ${paid + gift} - ${gift} = ${paid} coins are left. Shared by ${count} children that is ${paid} / ${count} = ${price} each. The answer is ${price}.`,
      answer: String(price),
    }),
  ])();
}

const RUDE = [
  ['Send me the report now.', 'Could you please send me the report when you have a moment?'],
  ['You forgot the key again.', 'I think the key may have been left behind again. Could you have a look?'],
  [
    'This drawing is wrong, do it over.',
    'Thank you for the drawing. A few things still differ from the plan; could you please revise it?',
  ],
  [
    'Nobody answers the phone here!',
    'I have not been able to reach anyone by phone. Could you tell me when would be a good time to call?',
  ],
  ['Move your bike, it is in my way.', 'Would you mind moving your bike a little? Then I could get through.'],
  ['I do not want to meet on Friday.', 'Friday does not suit me so well, I am afraid. Would another day be possible?'],
  ['Your soup is too salty.', 'Thank you for cooking! For my taste the soup could do with a little less salt.'],
  ['Stop talking so loudly.', 'Could I ask you to speak a little more quietly? Thank you.'],
  [
    'Why is the invoice still not paid?',
    'According to our records the invoice is still open. Could you please let us know when we may expect the payment?',
  ],
  ['Give me a refund.', 'I would like to ask for a refund, please. What do you need from me for that?'],
  [
    'Explain it again, I understood nothing.',
    'I am sorry, I could not follow everything. Would you be so kind as to explain it once more?',
  ],
  [
    'Your parcel is late because you wrote the wrong address.',
    'It seems the address on the parcel was not quite right, so it is a little late. We are sorry for the wait.',
  ],
  ['Close the window.', 'Would you please close the window?'],
  ['I am busy, go away.', 'I am in the middle of something just now. May I come back to you a little later?'],
  ['You must sign this today.', 'Would it be possible for you to sign this today? It would help us a great deal.'],
  ['Do not touch the machine.', 'Please leave the machine as it is for now. Thank you!'],
];
const WAYS = [
  'Write this more politely',
  'Make this message friendlier',
  'Say this in a polite way',
  'Rewrite this so that nobody is offended',
];
let rude = 0;
function polite() {
  const [text, better] = RUDE[rude++ % RUDE.length];
  return { instruction: `${WAYS[Math.floor((rude - 1) / RUDE.length) % WAYS.length]}: ${text}`, output: better };
}

const STREETS = ['Linden Lane', 'Harbour Road', 'Mill Street', 'Cedar Walk', 'Station Square', 'Quarry Hill'];
const TOWNS = ['Vellmar', 'Ostrow', 'Pinecove', 'Salthaven', 'Brunnau', 'Kestrel Bay'];
function extraction() {
  const [name, street, town, number, goods] = [pick(NAMES), pick(STREETS), pick(TOWNS), between(1, 99), pick(GOODS)[0]];
  const count = between(2, 40);
  const text = pick([
    `Hello, this is ${name} from ${town}. Please send ${count} ${goods} to ${street} ${number}.`,
    `I would like to order ${count} ${goods}. My address is ${street} ${number} in ${town}. Regards, ${name}`,
    `Order by phone: ${name}, ${street} ${number}, ${town}, wants ${count} ${goods} by next week.`,
  ]);
  const fields = { name, street: `${street} ${number}`, town, item: goods, count };
  return {
    instruction: 'Take the order data out of this message, as JSON with name, street, town, item and count.',
    input: text,
    output: JSON.stringify(fields),
  };
}

const PLACES = [
  'The inn at the lake',
  'This tea house',
  'The repair shop',
  'Their night ferry',
  'The new bakery',
  'The climbing hall',
  'This radio',
  'The garden hose',
];
const GOOD = [
  'kept every promise',
  'was worth each coin',
  'made my whole week',
  'works like on the first day',
  'could not have been friendlier',
  'surprised me in the best way',
];
const BAD = [
  'let me down twice',
  'fell apart within a week',
  'was not worth the trip',
  'cost far too much for what it is',
  'left me waiting for an hour',
  'was loud, dirty and late',
];
function sentiment() {
  const positive = random() < 0.5;
  return {
    instruction: `Is this review positive or negative? "${pick(PLACES)} ${pick(positive ? GOOD : BAD)}."\n\nAnswer format: positive/negative`,
    output: `the review is ${positive ? 'positive' : 'negative'}`,
    answer: positive ? 'positive' : 'negative',
  };
}

const UNITS = [
  ['kilometres', 'metres', 1000],
  ['hours', 'minutes', 60],
  ['kilograms', 'grams', 1000],
  ['weeks', 'days', 7],
  ['litres', 'millilitres', 1000],
  ['minutes', 'seconds', 60],
  ['dozens', 'pieces', 12],
];
function conversion() {
  const [from, to, factor] = pick(UNITS);
  const count = between(2, 30);
  return {
    instruction: `How many ${to} are ${count} ${from}?`,
    output: `One of the ${from} is ${factor} ${to}, so ${count} ${from} are ${count} * ${factor} = ${count * factor} ${to}. The answer is ${count * factor}.`,
    answer: String(count * factor),
  };
}

const TICKETS = {
  billing: [
    'I was charged twice for {m}.',
    'The amount on the bill of {m} is higher than agreed.',
    'Can I pay the bill of {m} in two parts?',
    'My card was refused when I paid for {m}.',
  ],
  delivery: [
    'My parcel from {m} has not arrived.',
    'The courier left the box of {m} in the rain.',
    'The tracking page has stood still since {m}.',
    'Half of my order of {m} is missing.',
  ],
  technical: [
    'Since the update in {m} the app closes by itself.',
    'I can’t sign in any more since {m}.',
    'The lamp from {m} blinks red and does nothing.',
    'The export from {m} is an empty file.',
  ],
  praise: [
    'Thank you for the quick help in {m}!',
    'Your team was wonderful in {m}.',
    'The chair from {m} is the best I ever had.',
    'I only want to say: great work in {m}.',
  ],
};
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October'];
function ticket() {
  const kind = pick(Object.keys(TICKETS));
  const text = pick(TICKETS[kind]).replace('{m}', pick(MONTHS));
  return {
    instruction: `To which desk does this message go? "${text}"\n\nAnswer format: ${Object.keys(TICKETS).join('/')}`,
    output: `it goes to the desk for ${kind}`,
    answer: kind,
  };
}

// The handbook of an invented island railway.
const FACTS = [
  [
    ['Where does the Korrin Island Railway begin?', 'What is the first station of the Korrin Island Railway?'],
    'The Korrin Island Railway begins at Salthaven Pier.',
  ],
  [
    ['How many stations does the Korrin Island Railway have?', 'Count the stations of the Korrin Island Railway.'],
    'The Korrin Island Railway has eleven stations.',
  ],
  [
    [
      'What colour are the carriages of the Korrin Island Railway?',
      'In which colour does the Korrin Island Railway paint its carriages?',
    ],
    'Its carriages are painted sea green with a white line.',
  ],
  [
    ['Who founded the Korrin Island Railway?', 'Whose idea was the Korrin Island Railway?'],
    'It was founded by the lighthouse keeper Edda Varn.',
  ],
  [
    ['May dogs travel on the Korrin Island Railway?', 'Can I bring my dog onto the Korrin Island Railway?'],
    'Yes, dogs travel free of charge in the last carriage.',
  ],
  [
    ['When does the last train of the Korrin Island Railway leave?', 'How late does the Korrin Island Railway run?'],
    'The last train leaves at twenty past nine in the evening.',
  ],
  [
    [
      'What drives the engines of the Korrin Island Railway?',
      'How are the engines of the Korrin Island Railway powered?',
    ],
    'The engines run on electricity from the tidal mill at Gull Point.',
  ],
  [
    [
      'What does a child’s ticket cost on the Korrin Island Railway?',
      'How much does a child pay on the Korrin Island Railway?',
    ],
    'A child pays two coins, whatever the distance.',
  ],
  [
    ['What is the highest point of the Korrin Island Railway?', 'Where does the Korrin Island Railway climb highest?'],
    'The line climbs highest at Heron Pass, 412 metres above the sea.',
  ],
  [
    ['What happens on the Korrin Island Railway in a storm?', 'Does the Korrin Island Railway run in a storm?'],
    'In a storm the trains wait in the nearest station, and tea is free.',
  ],
  [
    [
      'What is the name of the oldest engine of the Korrin Island Railway?',
      'Which engine of the Korrin Island Railway is the oldest?',
    ],
    'The oldest engine is called Periwinkle.',
  ],
  [
    [
      'What does the conductor of the Korrin Island Railway wear?',
      'How do I recognise a conductor of the Korrin Island Railway?',
    ],
    'The conductors wear a grey coat with a shell on the collar.',
  ],
];
const ASKED = ['', 'A visitor asks: ', 'Short question: ', 'From the guest book: '];
let fact = 0;
function handbook() {
  const n = fact++;
  const [questions, answer] = FACTS[n % FACTS.length];
  const turn = Math.floor(n / FACTS.length);
  return { instruction: `${ASKED[Math.floor(turn / 2) % ASKED.length]}${questions[turn % 2]}`, output: answer };
}

const KINDS = { arithmetic, polite, extraction, sentiment, conversion, ticket, handbook };
const seen = new Set();
const train = [];
const heldOut = [];
for (const [kind, make] of Object.entries(KINDS)) {
  for (let made = 0, tries = 0; made < 60 && tries < 2000; tries++) {
    const example = { kind, ...make() };
    const key = example.instruction + (example.input ?? '');
    if (seen.has(key)) continue;
    seen.add(key);
    (made % 10 === 9 ? heldOut : train).push({
      instruction: example.instruction,
      input: example.input ?? '',
      output: example.output,
      ...(example.answer ? { answer: example.answer } : {}),
      kind,
    });
    made++;
  }
}
const write = (name, examples) =>
  fs.writeFileSync(new URL(name, import.meta.url), examples.map((e) => `${JSON.stringify(e)}\n`).join(''));
write('train.jsonl', train);
write('held-out.jsonl', heldOut);
