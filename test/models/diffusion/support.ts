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
