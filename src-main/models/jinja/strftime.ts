import { JinjaError } from './budget.ts';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']; // prettier-ignore

const DAY_MS = 86_400_000;

/** Days since the year's first, from 0. */
const dayOfYear = (now: Date) =>
  Math.round((Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0, 1)) / DAY_MS);

/** ISO 8601's year and week: those of the week's Thursday. */
function isoWeek(now: Date): { year: number; week: number } {
  const thursday = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 4 - (now.getDay() || 7));
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

const weekFrom = (now: Date, firstDay: number) =>
  Math.floor((dayOfYear(now) + 7 - ((now.getDay() - firstDay + 7) % 7)) / 7);

/** A number's fields: value and width, filled with zeros, or with spaces where `blank`. */
const NUMBERS: Record<string, (now: Date) => { value: number; width: number; blank?: boolean }> = {
  d: (now) => ({ value: now.getDate(), width: 2 }),
  e: (now) => ({ value: now.getDate(), width: 2, blank: true }),
  f: (now) => ({ value: now.getMilliseconds() * 1000, width: 6 }),
  G: (now) => ({ value: isoWeek(now).year, width: 4 }),
  H: (now) => ({ value: now.getHours(), width: 2 }),
  I: (now) => ({ value: now.getHours() % 12 || 12, width: 2 }),
  j: (now) => ({ value: dayOfYear(now) + 1, width: 3 }),
  k: (now) => ({ value: now.getHours(), width: 2, blank: true }),
  l: (now) => ({ value: now.getHours() % 12 || 12, width: 2, blank: true }),
  m: (now) => ({ value: now.getMonth() + 1, width: 2 }),
  M: (now) => ({ value: now.getMinutes(), width: 2 }),
  S: (now) => ({ value: now.getSeconds(), width: 2 }),
  s: (now) => ({ value: Math.floor(now.getTime() / 1000), width: 1 }),
  u: (now) => ({ value: now.getDay() || 7, width: 1 }),
  U: (now) => ({ value: weekFrom(now, 0), width: 2 }),
  V: (now) => ({ value: isoWeek(now).week, width: 2 }),
  w: (now) => ({ value: now.getDay(), width: 1 }),
  W: (now) => ({ value: weekFrom(now, 1), width: 2 }),
  y: (now) => ({ value: now.getFullYear() % 100, width: 2 }),
  C: (now) => ({ value: Math.floor(now.getFullYear() / 100), width: 2 }),
  Y: (now) => ({ value: now.getFullYear(), width: 1 }),
};

/** Texts of the C locale. */
const TEXTS: Record<string, (now: Date) => string> = {
  a: (now) => DAYS[now.getDay()]!.slice(0, 3),
  A: (now) => DAYS[now.getDay()]!,
  b: (now) => MONTHS[now.getMonth()]!.slice(0, 3),
  B: (now) => MONTHS[now.getMonth()]!,
  h: (now) => MONTHS[now.getMonth()]!.slice(0, 3),
  c: (now) => strftime('%a %b %e %H:%M:%S %Y', now),
  D: (now) => strftime('%m/%d/%y', now),
  F: (now) => strftime('%Y-%m-%d', now),
  n: () => '\n',
  p: (now) => (now.getHours() < 12 ? 'AM' : 'PM'),
  P: (now) => (now.getHours() < 12 ? 'am' : 'pm'),
  r: (now) => strftime('%I:%M:%S %p', now),
  R: (now) => strftime('%H:%M', now),
  t: () => '\t',
  T: (now) => strftime('%H:%M:%S', now),
  x: (now) => strftime('%m/%d/%y', now),
  X: (now) => strftime('%H:%M:%S', now),
  // A datetime without a time zone has none to name.
  z: () => '',
  Z: () => '',
  '%': () => '%',
};

/** A local time by a format of C's strftime, as Python on Linux writes it. @throws JinjaError for a field that isn't known */
export function strftime(format: string, now: Date): string {
  return format.replace(/%([-_0^]?)(.)/gsu, (whole, flag: string, field: string) => {
    const number = Object.hasOwn(NUMBERS, field) ? NUMBERS[field]!(now) : undefined;
    if (number) {
      const blank = flag === '_' || (number.blank && flag !== '0');
      return flag === '-' ? String(number.value) : String(number.value).padStart(number.width, blank ? ' ' : '0');
    }
    if (!Object.hasOwn(TEXTS, field)) throw new JinjaError(`strftime_now doesn't know "${whole}"`);
    const shown = TEXTS[field]!(now);
    return flag === '^' ? shown.toUpperCase() : shown;
  });
}
