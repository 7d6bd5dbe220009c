import { empty, INVOCATION, run, spread, type Kernel } from '../../src-main/engine/webgpu/kernel.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';

/** What a device does at most, as nothing but that was measured: 10^9 bytes or operations a second. */
export interface Limit {
  limit: 'bytes' | 'f32' | 'f16' | 'int8';
  what: string;
  perSecond: number;
}

/** One measurement repeats what it measures for about so long, within so many times. */
const SECONDS = 0.3;
const MOST_REPEATS = { small: 2, large: 200 };

/** Seconds of one of many dispatches, which run one after the other. */
export async function secondsOf(backend: Backend, small: boolean, once: () => void): Promise<number> {
  const measure = async (times: number) => {
    const begun = performance.now();
    for (let n = 0; n < times; n++) once();
    backend.flush();
    await backend.queue.onSubmittedWorkDone();
    backend.opened.check();
    return (performance.now() - begun) / 1000 / times;
  };
  await measure(1); // compiles, takes memory
  const repeats = Math.max(2, Math.ceil(SECONDS / (await measure(1))));
  return measure(Math.min(MOST_REPEATS[small ? 'small' : 'large'], repeats));
}

/** Threads of a workgroup, chains of each, and their turns without a branch. */
const [THREADS, CHAINS, TURNS] = [256, 8, 8];
/** Of a chain's turn: four products and four sums, whatever the numbers. */
const OPERATIONS = 8;

const each = (text: (chain: number) => string) => Array.from({ length: CHAINS }, (_, chain) => text(chain)).join(' ');

/** Nothing but multiplying and adding up, in chains that don't wait for each other. */
function arithmetic(kind: 'f32' | 'f16' | 'int8'): Kernel {
  const vector = kind === 'f16' ? 'vec4<f16>' : 'vec4f';
  const [begin, turn, end] =
    kind === 'int8'
      ? [
          (chain: number) => `var s${chain} = i32(i) + ${chain};`,
          (chain: number) => `s${chain} += dot4I8Packed(bitcast<u32>(s${chain}), factor);`,
          (chain: number) => `f32(s${chain})`,
        ]
      : [
          (chain: number) => `var s${chain} = ${vector}(${vector}(vec4f(f32(i % 64u) + ${chain}.0)));`,
          (chain: number) => `s${chain} = fma(s${chain}, factor, addend);`,
          (chain: number) => `dot(vec4f(s${chain}), vec4f(1.0))`,
        ];
  return {
    name: `arithmetic ${kind}`,
    ...{ reads: {}, writes: { out: 'f32' }, params: { rounds: 'u32' }, enable: kind === 'f16' ? ['f16'] : [] },
    code: `@compute @workgroup_size(${THREADS}) fn main(${INVOCATION}) {
  let i = flat(group, groups) * ${THREADS}u + thread;
  ${kind === 'int8' ? 'let factor = 0x01020304u + i;' : `let factor = ${vector}(0.5); let addend = ${vector}(0.25);`}
  ${each(begin)}
  for (var n = 0u; n < p.rounds; n++) { ${Array.from({ length: TURNS }, () => each(turn)).join('\n')} }
  out[i] = ${each((chain) => `${chain ? '+ ' : ''}${end(chain)}`)};
}`,
  };
}

/** What the device's memory and arithmetic units do at most, tensor cores aside. */
export async function* limits(backend: Backend, small: boolean): AsyncGenerator<Limit> {
  const bytes = small ? 2 ** 24 : 2 ** 28;
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [from, to] = [0, 1].map(() => backend.device.createBuffer({ size: bytes, usage }));
  const seconds = await secondsOf(backend, small, () => backend.record((encoder) => encoder.copyBufferToBuffer(from!, 0, to!, 0, bytes))); // prettier-ignore
  for (const buffer of [from, to]) buffer!.destroy();
  yield { limit: 'bytes', what: 'a copy in memory, read and written', perSecond: (2e-9 * bytes) / seconds };
  const [groups, rounds] = small ? [16, 8] : [4096, 128];
  const kinds = backend.opened.has('shader-f16') ? (['f32', 'f16', 'int8'] as const) : (['f32', 'int8'] as const);
  for (const kind of kinds) {
    const kernel = arithmetic(kind);
    const out = empty(backend, [groups * THREADS]);
    const taken = await secondsOf(backend, small, () => run(backend, kernel, [], [out], [rounds], spread(groups)));
    out.dispose();
    const operations = groups * THREADS * rounds * TURNS * CHAINS * OPERATIONS;
    const what = kind === 'int8' ? 'dot4I8Packed and a sum' : `multiplying and adding up in ${kind}`;
    yield { limit: kind, what, perSecond: (1e-9 * operations) / taken };
  }
}
