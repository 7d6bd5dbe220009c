import type { Size } from '../../models/vision/preparation/sizes.ts';

/** How large pictures are learned, pixels. */
export interface BucketOptions {
  /** a bucket has about its square of pixels, and no more */
  resolution: number;
  /** sides are multiples of it: what the VAE and the network halve */
  step: number;
  /** pictures keep their shape, each in the bucket nearest to it; false: all are cut square */
  shapes: boolean;
}

/** No side is more than so many times the resolution, or less than one part of so many. */
const LONGEST = 2;

/** The sizes that pictures are cut to, from the widest to the highest. */
export function bucketsFor({ resolution, step, shapes }: BucketOptions): Size[] {
  const square = Math.max(step, down(resolution, step));
  if (!shapes) return [{ width: square, height: square }];
  const [least, most] = [Math.max(step, down(resolution / LONGEST, step)), Math.max(square, down(resolution * LONGEST, step))]; // prettier-ignore
  const found = new Map<string, Size>();
  for (let long = square; long <= most; long += step) {
    const short = Math.min(long, down(resolution ** 2 / long, step));
    if (short < least) continue;
    for (const size of [
      { width: long, height: short },
      { width: short, height: long },
    ])
      found.set(`${size.width} ${size.height}`, size);
  }
  return [...found.values()].sort((a, b) => shapeOf(b) - shapeOf(a) || b.width - a.width);
}

const down = (length: number, step: number) => Math.floor(length / step) * step;
const shapeOf = ({ width, height }: Size) => Math.log(width / height);

/** The bucket nearest to a picture's shape; of equally near ones the larger. */
export function nearestBucket(picture: Size, buckets: Size[]): Size {
  const away = (bucket: Size) => Math.abs(shapeOf(bucket) - shapeOf(picture));
  const area = ({ width, height }: Size) => width * height;
  return buckets.reduce((best, bucket) => {
    const further = away(bucket) - away(best);
    return further < 0 || (further === 0 && area(bucket) > area(best)) ? bucket : best;
  });
}

/** The size at which a picture just covers its bucket. */
export function coveringSize(picture: Size, bucket: Size): Size {
  const scale = Math.max(bucket.width / picture.width, bucket.height / picture.height);
  const side = (length: number, least: number) => Math.max(least, Math.round(length * scale));
  return { width: side(picture.width, bucket.width), height: side(picture.height, bucket.height) };
}
