import { InvalidArgumentError } from 'commander';

const BYTES: Record<string, number> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};
const SECONDS: Record<string, number> = { '': 1, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** `8GiB`, `500MB` or bytes. @throws InvalidArgumentError, which commander shows with the option's name */
export function bytes(text: string): number {
  const [, number, unit] = /^([\d.]+)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const size = Number(number) * (BYTES[(unit ?? '').toUpperCase()] ?? NaN);
  if (!(size > 0)) throw new InvalidArgumentError('give a size such as 8GiB or 500MB');
  return Math.round(size);
}

/** `2h`, `30min`, `45s` or seconds. @throws InvalidArgumentError */
export function seconds(text: string): number {
  const [, number, unit] = /^([\d.]+)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const duration = Number(number) * (SECONDS[(unit ?? '').toLowerCase()] ?? NaN);
  if (!(duration > 0)) throw new InvalidArgumentError('give a time such as 2h, 30min or 45s');
  return duration;
}

/** A number within bounds. */
export function number(least: number, most = Infinity): (text: string) => number {
  const range = most === Infinity ? `from ${least} on` : `from ${least} to ${most}`;
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most))
      throw new InvalidArgumentError(`give a number ${range}`);
    return value;
  };
}

/** A whole number within bounds. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = number(least, most)(text);
    if (!Number.isInteger(value)) throw new InvalidArgumentError('give a whole number');
    return value;
  };
}

/** Numbers with commas between. */
export function numbers(least: number, most: number): (text: string) => number[] {
  return (text) => text.split(',').map(number(least, most));
}

/** `field=column`, gathered over repetitions of the option. */
export function mapping(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [field, ...column] = text.split('=');
  if (!field || column.join('=') === '') throw new InvalidArgumentError('give field=column, e.g. instruction=question');
  return { ...before, [field]: column.join('=') };
}
