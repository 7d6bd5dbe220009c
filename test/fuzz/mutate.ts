import type { Random } from './random.ts';

const NUMBERS = [
  0n,
  1n,
  2n,
  7n,
  127n,
  128n,
  255n,
  65535n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];
const TEXTS = [
  '{',
  '[',
  '"',
  '\\u0000',
  'null',
  '-1',
  '1e999',
  'NaN',
  '{%',
  '%}',
  '{{',
  '\0',
  '\ufeff',
  '\n',
  ',',
  '\ud800',
  '*a',
  '&a',
  '../',
  '💥',
];
const VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  1e308,
  2 ** 53,
  '',
  'x',
  '../..',
  '\0',
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  'default',
  '((',
  '.*',
];

/** A file's bytes with a few things wrong. Most changes lie near the start, where headers are. */
export function mutatedBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let out: Uint8Array = Uint8Array.from(bytes);
  for (let rounds = 1 + random.below(4); rounds > 0; rounds--) out = once(out, random);
  return out;
}

function once(bytes: Uint8Array, random: Random): Uint8Array {
  const near = random.below(4) ? Math.min(bytes.length, 16 + random.below(4096)) : bytes.length;
  const at = random.below(near + 1);
  const copy = Uint8Array.from(bytes);
  switch (random.below(8)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      if (at < copy.length) copy[at]! ^= 1 << random.below(8);
      return copy;
    case 2: {
      const width = random.pick([1, 2, 4, 8]);
      const view = new DataView(copy.buffer);
      if (at + 8 > copy.length) return copy;
      const value = random.pick(NUMBERS);
      if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
      else if (width === 4) view.setUint32(at, Number(value & 0xffffffffn), true);
      else copy[at] = Number(value & 0xffn);
      return copy;
    }
    case 3:
      return joined(bytes.subarray(0, at), new TextEncoder().encode(random.pick(TEXTS)), bytes.subarray(at));
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(64)));
    case 5: {
      const piece = bytes.subarray(at, at + 1 + random.below(256));
      return joined(bytes.subarray(0, at), piece, piece, bytes.subarray(at + piece.length));
    }
    case 6: {
      const from = random.below(bytes.length + 1);
      copy.set(bytes.subarray(from, Math.min(bytes.length, from + random.below(32), from + copy.length - at)), at);
      return copy;
    }
    default:
      return joined(
        bytes.subarray(0, at),
        new TextEncoder().encode(random.pick(TEXTS).repeat(1 + random.below(3000))),
        bytes.subarray(at),
      );
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A JSON text with some of its values others; where it isn't JSON, its bytes are changed. */
export function mutatedJson(text: string, random: Random): string {
  const root = { value: JSON.parse(text) as unknown };
  for (let rounds = 1 + random.below(3); rounds > 0; rounds--) {
    let holder: object = root;
    let key = 'value';
    // Down the tree, a random way, ending at any depth.
    for (;;) {
      const child = (holder as Record<string, unknown>)[key];
      if (typeof child !== 'object' || child === null || Object.keys(child).length === 0 || random.below(4) === 0)
        break;
      holder = child;
      key = random.pick(Object.keys(child));
    }
    changeValue(holder as Record<string, unknown>, key, random);
  }
  return JSON.stringify(root.value) ?? 'null';
}

function changeValue(holder: Record<string, unknown>, key: string, random: Random): void {
  const before = holder[key];
  const kind = random.below(8);
  if (kind === 0) delete holder[key];
  else if (kind === 1) holder[key] = [before];
  else if (kind === 2) holder[`${key}x`] = before;
  else if (kind === 3) holder[key] = nested(random.below(2000));
  else if (kind === 4 && typeof before === 'number') holder[key] = before * random.pick([-1, 0, 2, 1000, 1e9, 0.1]);
  else if (kind === 5)
    holder[key] = String(before)
      .repeat(1 + random.below(50))
      .slice(0, 100_000);
  else holder[key] = random.pick(VALUES);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
}
