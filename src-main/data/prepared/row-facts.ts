/** What is known of the rows beside the records. */
export interface RowFacts {
  rows: number;
  /** by reason, the rows */
  dropped: [string, number[]][];
  /** what was guessed about the dataset's files */
  notes: readonly string[];
}

export function addRow<Reason>(byReason: Map<Reason, number[]>, reason: Reason, row: number): void {
  const rows = byReason.get(reason);
  if (rows) rows.push(row);
  else byReason.set(reason, [row]);
}
