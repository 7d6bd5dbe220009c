import type { DifferingExample, Evaluation } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Library } from '../database/open.ts';

export interface KeptEvaluation {
  evaluation: Evaluation;
  differing: DifferingExample[];
  /** `differing` holds the first of these */
  differingInAll: number;
}

/** The evaluations that are kept in the library. */
export class EvaluationStore {
  constructor(private readonly library: Library) {}

  list(): Evaluation[] {
    const rows = this.library.prepare('SELECT result FROM evaluations ORDER BY created_at DESC').all();
    return (rows as { result: string }[]).map(({ result }) => (JSON.parse(result) as KeptEvaluation).evaluation);
  }

  /** @throws UserError when it isn't there */
  get(id: string): KeptEvaluation {
    const row = this.library.prepare('SELECT result FROM evaluations WHERE id = ?').get(id) as
      { result: string } | undefined;
    if (!row) throw new UserError('This evaluation was deleted. Reload the list.');
    return JSON.parse(row.result) as KeptEvaluation;
  }

  add(kept: KeptEvaluation): void {
    const { id, name, createdAt } = kept.evaluation;
    this.library
      .prepare('INSERT INTO evaluations (id, name, result, created_at) VALUES (?, ?, ?, ?)')
      .run(id, name, JSON.stringify(kept), createdAt);
  }

  remove(id: string): void {
    this.library.prepare('DELETE FROM evaluations WHERE id = ?').run(id);
  }
}
