import fsp from 'node:fs/promises';
import path from 'node:path';

/** Pictures [pictures, channels, height, width], as PyTorch has them, as they are here: [pictures, height, width, channels]. */
export function channelsLast({ shape, values }: { shape: number[]; values: Float32Array }): {
  shape: [number, number, number, number];
  values: Float32Array;
} {
  const [pictures, channels, height, width] = shape as [number, number, number, number];
  const size = height * width;
  const out = new Float32Array(values.length);
  for (let picture = 0; picture < pictures; picture++)
    for (let channel = 0; channel < channels; channel++)
      for (let pixel = 0; pixel < size; pixel++)
        out[(picture * size + pixel) * channels + channel] = values[(picture * channels + channel) * size + pixel]!;
  return { shape: [pictures, height, width, channels], values: out };
}

const data = path.join(import.meta.dirname, '../data/diffusion');

/** A tiny pipeline (data/diffusion/make_pipelines.py) with its tokenizers, which lie elsewhere once for all, in `folder`. */
export async function wholePipeline(kind: 'sd' | 'sdxl' | 'z-image', folder: string): Promise<void> {
  await fsp.cp(path.join(data, 'pipelines', kind), folder, { recursive: true });
  if (kind === 'z-image') return fsp.cp(path.join(data, '../tokenizer'), path.join(folder, 'tokenizer'), { recursive: true }); // prettier-ignore
  await fsp.cp(path.join(data, 'tokenizers/sd'), path.join(folder, 'tokenizer'), { recursive: true });
  if (kind === 'sdxl') await fsp.cp(path.join(data, 'tokenizers/sdxl'), path.join(folder, 'tokenizer_2'), { recursive: true }); // prettier-ignore
}
