import sharp from 'sharp';

type Rgb = [number, number, number];

/** Roughly; the nearest is what people would call it. */
const CALLED: Record<string, Rgb> = {
  ...{ red: [220, 30, 30], orange: [255, 140, 0], yellow: [255, 220, 50], green: [0, 150, 60], blue: [30, 90, 230] },
  ...{ purple: [130, 50, 180], pink: [255, 140, 200], brown: [120, 70, 40], black: [0, 0, 0], gray: [128, 128, 128] },
};
const distance = (a: Rgb, b: Rgb) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
export const called = (color: Rgb) =>
  Object.entries(CALLED).reduce((best, one) => (distance(one[1], color) < distance(best[1], color) ? one : best))[0];

/** A decoded picture whose upper left corner is ground. */
export class Pixels {
  private found: Blob[] | undefined;

  private constructor(
    readonly side: number,
    private readonly rgb: Uint8Array,
  ) {}

  static async read(file: string): Promise<Pixels> {
    const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    if (info.width !== info.height || info.channels !== 3) throw new Error(`${file} is no square in three channels`);
    return new Pixels(info.width, data);
  }

  at(x: number, y: number): Rgb {
    const from = (y * this.side + x) * 3;
    return [this.rgb[from]!, this.rgb[from + 1]!, this.rgb[from + 2]!];
  }

  /** At shares of its side. */
  around(x: number, y: number): Rgb {
    return this.at(Math.round(x * this.side), Math.round(y * this.side));
  }

  get ground(): Rgb {
    return this.at(0, 0);
  }

  /** Places [x, y] whose pixel is so. */
  where(is: (pixel: Rgb, x: number, y: number) => boolean): [number, number][] {
    const places: [number, number][] = [];
    for (let y = 0; y < this.side; y++)
      for (let x = 0; x < this.side; x++) if (is(this.at(x, y), x, y)) places.push([x, y]);
    return places;
  }

  /** Places that touch each other, without those of fewer than four pixels. */
  parts(is: (pixel: Rgb, x: number, y: number) => boolean): [number, number][][] {
    const left = new Uint8Array(this.side ** 2);
    for (const [x, y] of this.where(is)) left[y * this.side + x] = 1;
    const parts: number[][] = [];
    for (let start = 0; start < left.length; start++) {
      if (!left[start]) continue;
      const part = [start];
      left[start] = 0;
      for (const at of part)
        for (const next of [at - 1, at + 1, at - this.side, at + this.side])
          if (left[next]) {
            left[next] = 0;
            part.push(next);
          }
      parts.push(part);
    }
    return parts.filter(({ length }) => length >= 4).map((part) => part.map((at) => [at % this.side, Math.floor(at / this.side)])); // prettier-ignore
  }

  /** What lies on the ground, each for itself, from left to right. */
  get blobs(): Blob[] {
    const { ground } = this;
    const differs = () => this.parts((pixel) => distance(pixel, ground) > 40);
    return (this.found ??= differs()
      .map((part) => new Blob(this, part))
      .sort((a, b) => a.left - b.left));
  }

  /** The most frequent colour of some places. */
  usual(places: [number, number][], but: Rgb[] = []): Rgb {
    const counts = new Map<string, number>();
    for (const [x, y] of places) {
      const key = this.at(x, y).join();
      if (!but.some((other) => other.join() === key)) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return [...counts]
      .sort((a, b) => b[1] - a[1])[0]![0]
      .split(',')
      .map(Number) as Rgb;
  }
}

/** One thing on the ground; half-covered pixels of its edge count by half. Lengths in shares of the picture's side. */
export class Blob {
  readonly rgb: Rgb;
  readonly color: string;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** of the box around it */
  readonly fill: number;
  /** how far down in that box it is widest */
  readonly widest: number;

  constructor(picture: Pixels, part: [number, number][]) {
    this.rgb = picture.usual(part);
    this.color = called(this.rgb);
    const full = distance(this.rgb, picture.ground);
    const [columns, rows] = [new Map<number, number>(), new Map<number, number>()];
    const widths = new Map<number, number>();
    let area = 0;
    for (const [x, y] of part) {
      const share = Math.min(1, distance(picture.at(x, y), picture.ground) / full);
      area += share;
      widths.set(y, share + (widths.get(y) ?? 0));
      columns.set(x, Math.max(share, columns.get(x) ?? 0));
      rows.set(y, Math.max(share, rows.get(y) ?? 0));
    }
    const sum = (shares: Map<number, number>) => [...shares.values()].reduce((a, b) => a + b) / picture.side;
    [this.left, this.top] = [Math.min(...columns.keys()) / picture.side, Math.min(...rows.keys()) / picture.side];
    [this.width, this.height] = [sum(columns), sum(rows)];
    const [row] = [...widths].reduce((best, one) => (one[1] > best[1] ? one : best));
    this.widest = (row / picture.side - this.top) / this.height;
    this.fill = area / picture.side ** 2 / (this.width * this.height);
  }

  get x(): number {
    return this.left + this.width / 2;
  }

  get y(): number {
    return this.top + this.height / 2;
  }

  get shape(): string {
    if (this.fill > 0.9) return 'square';
    if (this.fill > 0.68) return 'circle';
    return this.widest > 0.7 ? 'triangle' : 'star';
  }
}
