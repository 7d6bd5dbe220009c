/** Which kind of date a number stands for by its format: of a day, with a time of day, or a time that has passed. */
export type DateKind = 'date' | 'datetime' | 'duration';

const DAY_MS = 86_400_000;
/** 9999-12-31, the last day that there is. */
const LAST_DAY = 2_958_465;
/** Days from 1900's day 0 to 1904's. */
const DAYS_TO_1904 = 1462;

/** The numbers of built-in formats that are dates, as ECMA-376 lists them, those of East Asia, too. */
const BUILT_IN: Record<DateKind, number[]> = {
  date: [14, 15, 16, 17, 27, 28, 29, 30, 31, 36, 50, 51, 52, 53, 54, 57, 58],
  datetime: [18, 19, 20, 21, 22, 32, 33, 34, 35, 45, 47, 55, 56],
  duration: [46],
};

/** The kind of date of a number format; undefined for one of plain numbers. `code` is that of a custom format. */
export function formatKind(id: number, code?: string): DateKind | undefined {
  if (code === undefined) return (Object.keys(BUILT_IN) as DateKind[]).find((kind) => BUILT_IN[kind].includes(id));
  // Of its sections (positive; negative; zero; text) the first, without what stands in it as text, and without colours and languages.
  const [section = ''] = code.replace(/"[^"]*"|[\\_*]./g, '').split(';');
  if (/\[(h+|m+|s+)\]/i.test(section)) return 'duration';
  const letters = section.replace(/\[[^\]]*\]|am\/pm|a\/p/gi, '').toLowerCase();
  if (/[hs]/.test(letters)) return 'datetime';
  return /[dmy]/.test(letters) ? 'date' : undefined;
}

/** A day's number as ISO text: 2024-01-02, 2024-01-02T03:04:05.678, 03:04:05, or hours that passed as 36:30:00. Undefined for no day. */
export function dateText(days: number, kind: DateKind, from1904: boolean): string | undefined {
  if (!(days >= 0 && days <= LAST_DAY)) return undefined;
  const ms = Math.round(days * DAY_MS);
  if (kind === 'duration') return clock(ms);
  if (ms < DAY_MS && !from1904) return clock(ms);
  const day = Math.floor(ms / DAY_MS) + (from1904 ? DAYS_TO_1904 : 0);
  // Excel has a 29th of February in 1900, as Lotus 1-2-3 had.
  if (day === 60) return undefined;
  const date = new Date(Date.UTC(1899, 11, day < 60 ? 31 : 30) + day * DAY_MS).toISOString().slice(0, 10);
  const time = ms % DAY_MS;
  return kind === 'date' && time === 0 ? date : `${date}T${clock(time)}`;
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const fraction = ms % 1000 ? `.${String(ms % 1000).padStart(3, '0')}` : '';
  return parts.map((part) => String(part).padStart(2, '0')).join(':') + fraction;
}
