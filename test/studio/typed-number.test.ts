import { describe, expect, it } from 'vitest';
import { typedNumber, writtenNumber } from '../../src-renderer/typed-number.ts';
import { GROUPS, groupsFor, readNumber, shownValue } from '../../src-renderer/views/wizard/options.ts';

const LOCALES = ['en', 'en-IN', 'de', 'de-CH', 'fr', 'es', 'pl', 'pt-BR', 'sv', 'et', 'bg', 'hi', 'fa', 'ar-EG'];
const NUMBERS = [0, 7, 0.5, 1e-5, 1000, 1000.5, 1.125, -2.25, 123_456_789.125];

describe('numbers as people write them', () => {
  it.each(LOCALES)('reads in %s what ICU writes there, and what it writes itself', (locale) => {
    const icu = new Intl.NumberFormat(locale, { maximumFractionDigits: 10, numberingSystem: 'latn' });
    for (const value of NUMBERS) {
      expect([icu.format(value), typedNumber(icu.format(value), locale)]).toEqual([icu.format(value), value]);
      expect(typedNumber(writtenNumber(value, locale), locale)).toBe(value);
    }
  });

  it.each([
    ['de', '1.000', 1000],
    ['en', '1,000', 1000],
    ['de', '1 000,5', 1000.5],
    ['de', '1,5e-4', 0.00015],
    // No group begins with a zero, or has two digits at the end: these can be fractions alone.
    ['en', '0,5', 0.5],
    ['en', '0,001', 0.001],
    ['de', '0.001', 0.001],
    ['en', '2,50', 2.5],
  ])('takes in %s "%s" for %d', (locale, text, value) => {
    expect(typedNumber(text, locale)).toBe(value);
  });

  it.each(['', ' ', '5x', '0,5,1', '1.2.3', '1 2', '1.000.00', '--1', 'NaN', 'Infinity', '0x10', '½'])(
    'takes "%s" for none',
    (text) => {
      for (const locale of LOCALES) expect(typedNumber(text, locale)).toBeUndefined();
    },
  );
});

it('the weight of much noise is a number or off, which is shown as it is typed', () => {
  const option = GROUPS.flatMap(({ options }) => options).find(({ key }) => key === 'training.diffusion.minSnr')!;
  if (option.kind !== 'number') throw new Error('It takes a number');
  expect([shownValue(option, false), shownValue(option, 5)]).toEqual(['off', '5']);
  expect(['off', ' Off ', '5', ''].map((text) => readNumber(option, text))).toEqual([
    { value: false },
    { value: false },
    { value: 5 },
    { value: undefined },
  ]);
  expect(readNumber(option, 'of')).toEqual({ problem: 'Min-SNR gamma takes a number from 0.1 to 1,000, or off.' });
});

it('options of one method alone are shown for it, and where they were fixed before', () => {
  const keys = (method: string | undefined, fixed = {}) =>
    groupsFor({ sees: false, method }, fixed).flatMap(({ options }) => options.map(({ key }) => key));
  const owned = (shown: string[]) => shown.filter((key) => /\.(vera|adalora)\./.test(key));
  expect(owned(keys(undefined))).toEqual([]);
  expect(owned(keys('effilora'))).toEqual([]);
  expect(owned(keys('vera'))).toEqual(['method.vera.dInitial']);
  expect(owned(keys('adalora'))).toHaveLength(4);
  expect(owned(keys('lora', { 'method.vera.dInitial': 0.2 }))).toEqual(['method.vera.dInitial']);
  expect(keys('vera')).toContain('method.rank');
});
