/**
 * The number that a person of a language wrote: "0,5" and "1.000,5" in German, "1 000" in French, "1e-4" in any; what only
 * one reading fits is read so, whichever the language ("0.5" in German). Undefined where it is no number.
 * @param locale default: the browser's
 */
export function typedNumber(text: string, locale?: string): number | undefined {
  const plain = text.replace(DIRECTION, '').trim().replace('−', '-');
  const { group, decimal } = signsOf(locale);
  // A group behind a leading zero is none: that is a fraction in another language's writing.
  const grouped = new RegExp(
    `^([-+]?[1-9]\\d{0,2}(?:[${group}\\s'’]\\d{2,3})*[${group}\\s'’]\\d{3})(?:[${decimal}](\\d+))?$`,
  );
  const [, whole, fraction = ''] = grouped.exec(plain) ?? [];
  if (whole !== undefined) return Number(`${whole.replace(/[^-+\d]/g, '')}.${fraction}`);
  return /^[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain.replace(',', '.')) : undefined;
}

/** Marks before a minus where people write from right to left. */
const DIRECTION = /[\u200e\u200f\u061c]/g;

/** A number as `typedNumber` reads it. */
export function writtenNumber(value: number, locale?: string): string {
  const options = { useGrouping: false, maximumSignificantDigits: 15, numberingSystem: 'latn' } as const;
  return new Intl.NumberFormat(locale, options).format(value);
}

function signsOf(locale?: string): { group: string; decimal: string } {
  const parts = new Intl.NumberFormat(locale, { numberingSystem: 'latn' }).formatToParts(1_234_567.8);
  const sign = (type: string, otherwise: string) => parts.find((part) => part.type === type)?.value ?? otherwise;
  return { group: sign('group', ' '), decimal: sign('decimal', '.') };
}
