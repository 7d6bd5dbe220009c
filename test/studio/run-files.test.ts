import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { allRecords, lastRecord } from '../../src-main/studio/runs/files.ts';

describe('the lines of a run’s file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'effilora-run-files-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (text: string) => {
    const path = join(folder, 'lines.jsonl');
    writeFileSync(path, text);
    return path;
  };
  // Each longer than what is read at a time, and umlauts that may lie across its end.
  const lines = Array.from({ length: 3 }, (_, step) => ({ step, text: 'ä'.repeat(200_000 + step) }));
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');

  it('are all read, and the last one alone', async () => {
    expect(await allRecords(file(text))).toEqual(lines);
    expect(await lastRecord(file(text))).toEqual(lines[2]);
  });

  it('end before one that is not whole', async () => {
    expect(await allRecords(file(`${text}{"step":3`))).toEqual(lines);
    expect(await lastRecord(file(`${text}{"step":3`))).toEqual(lines[2]);
  });

  it('are none where nothing is there', async () => {
    expect(await allRecords(join(folder, 'none.jsonl'))).toEqual([]);
    expect(await lastRecord(file(''))).toBeUndefined();
  });
});
