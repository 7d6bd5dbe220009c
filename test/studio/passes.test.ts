import { expect, it } from 'vitest';
import { passesThrough, seesExamples } from '../../src-renderer/views/wizard/passes.ts';

it.each([
  [0.0009, 'less than 1 % of all examples'],
  [0.04, 'about 4 % of all examples'],
  [0.21, 'about 21 % of all examples'],
  [0.94, 'about 94 % of all examples'],
  [0.97, 'once through all examples'],
  [1.04, 'once through all examples'],
  [2.25, '2.3 times through all examples'],
  [6, '6 times through all examples'],
])('%f passes are told truly: %s', (passes, told) => {
  expect(passesThrough(passes, 'examples')).toBe(told);
});

it.each([
  [0.0009, 'Sees less than 1 % of all examples'],
  [0.16, 'Sees about 16 % of all examples'],
  [0.97, 'Sees every example once'],
  [2.93, 'Sees every example 2.9 times'],
  [12.4, 'Sees every example 12 times'],
])('a pace of %f passes is told truly: %s', (passes, told) => {
  expect(seesExamples(passes)).toBe(told);
});

it('says what is gone through', () => {
  expect(passesThrough(0.5, 'pictures')).toBe('about 50 % of all pictures');
});
