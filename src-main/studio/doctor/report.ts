import type { EngineReport, MachineReport } from '../../../src-preload/contract/doctor.ts';

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

/** A report as text, to be printed or copied: no name of a user, a folder or a host is in it. */
export function reportText(report: MachineReport): string {
  const { node, platform, processor, cores, memoryBytes, gpus, engines, advice, seconds } = report;
  return [
    `EffiLoRA Studio on Node ${node}, ${platform}`,
    `${processor}, ${cores} threads, ${gigabytes(memoryBytes)} of memory`,
    ...(gpus.length === 0 ? ['No GPU'] : gpus.map(gpuLine)),
    ...engines.flatMap((engine) => ['', ...engineLines(engine)]),
    '',
    ...advice,
    `(${Math.round(seconds)} seconds)`,
  ].join('\n');
}

function gpuLine({ name, memoryBytes, freeBytes, driver, computeCapability }: MachineReport['gpus'][number]): string {
  const free = freeBytes === undefined ? '' : `, ${gigabytes(freeBytes)} free`;
  const capability = computeCapability === undefined ? '' : `, compute capability ${computeCapability}`;
  return `GPU: ${name}, ${gigabytes(memoryBytes)}${free}, driver ${driver ?? 'not told'}${capability}`;
}

function engineLines(engine: EngineReport): string[] {
  const { name, device, versions, probe, productGflops, bandwidthGBs, steps, tokensPerSecond } = engine;
  const parts = Object.entries(versions).map(([part, version]) => `${part} ${version}`);
  const lines = [
    `${name} on ${device} (${parts.join(', ')})`,
    `  probe: ${probe.passed ? 'passed' : 'failed'} in ${probe.seconds.toFixed(1)} s. ${probe.reason}`,
  ];
  if (productGflops !== null && bandwidthGBs !== null)
    lines.push(`  f32 product ${productGflops.toFixed(1)} GFLOPS, memory ${bandwidthGBs.toFixed(1)} GB/s`);
  if (steps && tokensPerSecond !== null)
    lines.push(
      `  ${steps.done} training steps of ${steps.rows} x ${steps.length} tokens${steps.blocks === null ? '' : ` through ${steps.blocks} blocks`}: ${tokensPerSecond.toFixed(1)} tokens/s`,
    );
  if (engine.predictedBytes !== null && engine.measuredBytes !== null)
    lines.push(`  memory: ${gigabytes(engine.predictedBytes)} predicted, ${gigabytes(engine.measuredBytes)} measured`);
  return [...lines, ...engine.notes.map((note) => `  ${note}`)];
}
