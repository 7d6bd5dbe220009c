import * as tf from '@tensorflow/tfjs-core';
import type { DataType, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { Backend } from './backend.ts';

/** One of our compute shaders. Its name and text are fixed by what it is specialised for; sizes come as parameters. */
export interface Kernel {
  /** unique among texts */
  name: string;
  /** WGSL element types of the storage buffers, by variable */
  reads: Record<string, string>;
  writes: Record<string, string>;
  /** fields of the uniform `p` */
  params: Record<string, 'u32' | 'f32'>;
  /** with the entry point `main` */
  code: string;
  /** WGSL extensions, e.g. subgroups */
  enable?: string[];
}

export type Workgroups = [x: number, y?: number, z?: number];

/** Number of the workgroup where a kernel's workgroups, too many for one dimension, are laid out by `spread`. */
export const FLAT = 'fn flat(group: vec3u, groups: vec3u) -> u32 { return group.y * groups.x + group.x; }\n';

/** `count` workgroups in two dimensions, none above WebGPU's guaranteed 65,535. There may be a few more than `count`. */
export function spread(count: number): Workgroups {
  const columns = Math.min(count, 32_768);
  return [columns, Math.ceil(count / columns)];
}

/** A tensor without values on the device, for a kernel to write. */
export function empty<T extends Tensor = Tensor>(backend: Backend, shape: number[], dtype: DataType = 'float32'): T {
  return tf.engine().makeTensorFromTensorInfo(backend.makeTensorInfo(shape, dtype), backend) as T;
}

/** `shape` of a tensor's elements from `offset` on, without a copy; not to be used after the tensor is freed. */
export function view<T extends Tensor = Tensor>(
  backend: Backend,
  tensor: TensorInfo,
  offset: number,
  shape: number[],
): T {
  backend.uploadToGPU(tensor.dataId);
  const { resource, offset: start = 0, dtype } = backend.tensorMap.get(tensor.dataId);
  const info = backend.makeTensorInfo(shape, dtype);
  Object.assign(backend.tensorMap.get(info.dataId), { resource, offset: start + 4 * offset, external: true });
  return tf.engine().makeTensorFromTensorInfo(info, backend) as T;
}

/** Copies a tensor's numbers to `start` (in numbers) of another's memory. */
export function copy(backend: Backend, from: TensorInfo, to: TensorInfo, start = 0): void {
  backend.uploadToGPU(from.dataId);
  backend.uploadToGPU(to.dataId);
  const source = backend.tensorMap.get(from.dataId);
  const target = backend.tensorMap.get(to.dataId);
  const bytes = 4 * tf.util.sizeFromShape(from.shape);
  backend.record((encoder) =>
    encoder.copyBufferToBuffer(
      source.resource!,
      source.offset ?? 0,
      target.resource!,
      (target.offset ?? 0) + 4 * start,
      bytes,
    ),
  );
}

/**
 * Records one dispatch. A tensor that is written may hold values already (in place); it must not be among those read. `flops`: what it takes
 * where that is much (backend.ts, `flopsASubmission`).
 */
export function run(
  backend: Backend,
  kernel: Kernel,
  reads: TensorInfo[],
  writes: TensorInfo[],
  params: number[],
  [x, y = 1, z = 1]: Workgroups,
  flops = 0,
): void {
  const tensors = [...reads, ...writes];
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  const pipeline = pipelineOf(backend, kernel);
  const types = Object.values(kernel.params);
  const bindings = tensors.map((tensor) => backend.tensorToBinding(tensor));
  if (types.length > 0)
    bindings.push(
      backend.makeUniforms(
        types.map((type, i) => ({ type: type === 'u32' ? 'uint32' : 'float32', data: [params[i]!] })),
      ),
    );
  const group = backend.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: bindings.map((resource, binding) => ({ binding, resource })),
  });
  backend.dispatch(pipeline, group, [x, y, z], flops);
}

function pipelineOf(backend: Backend, kernel: Kernel): GPUComputePipeline {
  let pipeline = backend.pipelines.get(kernel.name);
  if (!pipeline) {
    const module = backend.device.createShaderModule({ code: textOf(kernel), label: kernel.name });
    pipeline = backend.device.createComputePipeline({ compute: { module }, label: kernel.name, layout: 'auto' });
    backend.pipelines.set(kernel.name, pipeline);
  }
  return pipeline;
}

/** The whole WGSL text of a kernel. */
export function textOf({ reads, writes, params, code, enable = [] }: Kernel): string {
  const buffers = [
    ...Object.entries(reads).map(([name, type]) => `var<storage, read> ${name}: array<${type}>;`),
    ...Object.entries(writes).map(([name, type]) => `var<storage, read_write> ${name}: array<${type}>;`),
  ];
  const fields = Object.entries(params).map(([name, type]) => `${name}: ${type}`);
  if (fields.length > 0) buffers.push(`var<uniform> p: Params;`);
  return [
    ...enable.map((extension) => `enable ${extension};`),
    fields.length > 0 ? `struct Params { ${fields.join(', ')} }` : '',
    ...buffers.map((buffer, i) => `@group(0) @binding(${i}) ${buffer}`),
    FLAT,
    code,
  ].join('\n');
}

/** Arguments of `main` that every kernel takes. */
export const INVOCATION = `@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32`;

/** Adds up or takes the maximum of one number a thread of a workgroup of `size`, by subgroups where the device has them. */
export function reduction(
  backend: Backend,
  size: number,
  operation: 'sum' | 'max',
): { code: string; enable: string[]; invocation: string; call: (value: string) => string } {
  const fold = (a: string, b: string) => (operation === 'sum' ? `${a} + ${b}` : `max(${a}, ${b})`);
  const name = `${operation}Across`;
  if (!backend.opened.has('subgroups')) {
    const code = `var<workgroup> ${name}Parts: array<f32, ${size}>;
fn ${name}(value: f32, thread: u32) -> f32 {
  ${name}Parts[thread] = value;
  for (var half = ${size / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) { ${name}Parts[thread] = ${fold(`${name}Parts[thread]`, `${name}Parts[thread + half]`)}; }
  }
  let all = workgroupUniformLoad(&${name}Parts[0]);
  return all;
}`;
    return { code, enable: [], invocation: '', call: (value) => `${name}(${value}, thread)` };
  }
  const subgroup = operation === 'sum' ? 'subgroupAdd' : 'subgroupMax';
  // Subgroups have 4 invocations or more, so there are at most size / 4 of them.
  const code = `var<workgroup> ${name}Parts: array<f32, ${size / 4}>;
fn ${name}(value: f32, subgroup: u32, subgroups: u32) -> f32 {
  workgroupBarrier();
  ${name}Parts[subgroup] = ${subgroup}(value);
  workgroupBarrier();
  var all = ${name}Parts[0];
  for (var i = 1u; i < subgroups; i++) { all = ${fold('all', `${name}Parts[i]`)}; }
  return all;
}`;
  return {
    code,
    enable: ['subgroups'],
    invocation: ', @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32',
    call: (value) => `${name}(${value}, subgroup, subgroups)`,
  };
}
