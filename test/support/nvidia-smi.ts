import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A PATH that begins with a stand-in for nvidia-smi, as one with two GPUs answers what the studio asks. */
export function withNvidiaSmi(folder: string): string {
  const programs = join(folder, 'programs');
  mkdirSync(programs, { recursive: true });
  const script = `#!/bin/sh
[ "$1" = --query-gpu=name,memory.total,memory.used,utilization.gpu ] || exit 2
[ "$2" = --format=csv,noheader,nounits ] || exit 2
echo "NVIDIA H100 80GB HBM3, 81920, 12288, 63"
echo "NVIDIA GeForce GT 710, 2048, 100, [N/A]"
`;
  writeFileSync(join(programs, 'nvidia-smi'), script, { mode: 0o755 });
  return [programs, process.env['PATH']].join(delimiter);
}
