import { describe, expect, it } from 'vitest';
import { checkDropped, droppedLines, dropsMany } from '../../src-main/data/dropped.ts';
import type { DataReport } from '../../src-main/data/types.ts';

const report = (examples: number, dropped: DataReport['dropped']) => {
  const lost = dropped.reduce((sum, { rows }) => sum + rows.length, 0);
  return { examples, kept: examples - lost, dropped } as DataReport;
};
const rows = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('dropped rows', () => {
  it('are counted with their reasons and first numbers', () => {
    const lines = droppedLines(report(100, [{ reason: 'not valid JSON', rows: rows(12) }, { reason: 'empty', rows: [40] }])); // prettier-ignore
    expect(lines).toEqual(['12: not valid JSON (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)', '1: empty (rows 40)']);
  });

  it('are accepted up to 5 %, more of them where the user says so', () => {
    const [few, many] = [5, 6].map((count) => report(100, [{ reason: 'empty', rows: rows(count) }]));
    expect([few!, many!].map(dropsMany)).toEqual([false, true]);
    expect(() => checkDropped('a.jsonl', few!)).not.toThrow();
    expect(() => checkDropped('a.jsonl', many!)).toThrow(/a\.jsonl: 6 of 100 rows can't be used.*--accept-dropped/);
    expect(() => checkDropped('a.jsonl', many!, true)).not.toThrow();
  });
});
