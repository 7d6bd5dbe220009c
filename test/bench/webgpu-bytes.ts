import type { Backend } from '../../src-main/engine/webgpu/backend.ts';

/** What `createBindGroup` was given last, bytes. */
const bound = (entries: Iterable<GPUBindGroupEntry>) =>
  [...entries].reduce((sum, { resource }) => {
    const { buffer, size } = resource as GPUBufferBinding;
    return sum + (size ?? buffer.size);
  }, 0);

/** Numbers at a kernel's name's end, as it has them of its tile. */
const tileOf = (label: string) => label.split(' ').at(-1)!.split(',').map(Number);

/** Bytes that the workgroups of a product read for their tiles, of f32, and write. */
function productBytes(label: string, [rows, columns, inner]: number[], workgroups: number): number {
  const [tileRows, tileColumns] = tileOf(label);
  return 4 * (workgroups * inner! * (tileRows! + tileColumns!) + rows! * columns!);
}

/** Bytes that the workgroups of an attention kernel read for their tiles, of rows that see what is before them. */
function attentionBytes(label: string, [length, , heads, keyHeads]: number[], [x, y, z]: number[]): number {
  const [quads, rows, , vectors] = tileOf(label) as [number, number, number, number];
  const own = quads * rows;
  const toKeys = label.startsWith('attentionToKeys');
  let vectorsRead = 0;
  for (let group = 0; group < x!; group++) {
    const seen = toKeys ? length! - group * own : Math.min(length!, (group + 1) * own);
    vectorsRead += (label.startsWith('attention ') ? 1 : 2) * own + 2 * seen * (toKeys ? heads! / keyHeads! : 1);
  }
  return 16 * vectors * vectorsRead * y! * z!;
}

/**
 * Counts the bytes that dispatches read and write: what a product's and attention's workgroups read for their tiles, as often as they do,
 * and of every other kernel each tensor once.
 */
export function countBytes(backend: Backend): { bytes: number } {
  const counts = { bytes: 0 };
  let [ofTensors, params] = [0, [] as number[]];
  const { device } = backend;
  const createBindGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    ofTensors = bound(descriptor.entries);
    counts.bytes += ofTensors;
    return createBindGroup(descriptor);
  };
  const makeUniforms = backend.makeUniforms.bind(backend);
  backend.makeUniforms = (uniforms) => {
    params = uniforms.map(({ data }) => data[0]!);
    return makeUniforms(uniforms);
  };
  const dispatch = backend.dispatch.bind(backend);
  backend.dispatch = (pipeline, group, workgroups, flops) => {
    const { label } = pipeline;
    if (label.startsWith('product'))
      counts.bytes += productBytes(label, params, workgroups[0] * workgroups[1]) - ofTensors;
    if (/^attention(ToQueries|ToKeys)? /.test(label))
      counts.bytes += attentionBytes(label, params, workgroups) - ofTensors;
    dispatch(pipeline, group, workgroups, flops);
  };
  return counts;
}
