import { exportAdapter } from '../../exports/export-adapter.ts';
import { emptyStage } from './loaded.ts';
import type { Act, ExportEvent, ExportJob } from './types.ts';

/** Writes an adapter in another program's form; the model it needs is opened afresh, so the loaded one makes room. */
export async function exportJob(job: ExportJob, { tell, signal }: Act<ExportEvent>): Promise<void> {
  await emptyStage();
  const result = await exportAdapter(job, (progress) => tell({ kind: 'progress', progress }), signal);
  tell({ kind: 'exported', result });
}
