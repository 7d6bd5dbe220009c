/** What is known of the rows beside the records. */
export interface RowFacts {
  rows: number;
  /** by reason, the rows */
  dropped: [string, number[]][];
  /** what was guessed about the dataset's files */
  notes: readonly string[];
}

export function addRow(byReason: Map<string, number[]>, reason: string, row: number): void {
  const rows = byReason.get(reason);
  if (rows) rows.push(row);
  else byReason.set(reason, [row]);
}
