import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodePicture } from '../../../src-main/models/vision/pictures/decode.ts';

/** Pictures drawn by data/vision/make_pictures.py, and what Pillow reads in them. */
const data = path.join(import.meta.dirname, '../data/vision');
const bytesOf = (...parts: string[]) => fs.readFileSync(path.join(data, ...parts));

interface Expected {
  width: number;
  height: number;
  sha256: string;
  first: number[];
  sums: number[];
}
const expected = JSON.parse(bytesOf('pictures.json').toString()) as Record<string, Expected>;

it.each(Object.entries(expected))(
  '%s is read as Pillow reads it',
  async (name, { width, height, sha256, first, sums }) => {
    const picture = await decodePicture(bytesOf('pictures', name), name);
    expect([picture.width, picture.height]).toEqual([width, height]);
    expect(picture.rgb.length).toBe(width * height * 3);
    expect([...picture.rgb.subarray(0, first.length)]).toEqual(first);
    expect([0, 1, 2].map((c) => picture.rgb.reduce((sum, v, i) => (i % 3 === c ? sum + v : sum), 0))).toEqual(sums);
    expect(crypto.createHash('sha256').update(picture.rgb).digest('hex')).toBe(sha256);
  },
);

describe('refuses by name', () => {
  it.each([
    ['cmyk.jpg', 'CMYK'],
    ['16-bit.png', '8 bits'],
    ['animated.webp', 'animated (3 frames)'],
    ['animated.png', 'animated'],
    ['other.gif', 'GIF'],
    ['other.bmp', 'BMP'],
    ['other.tiff', 'TIFF'],
  ])('%s: %s', async (name, what) => {
    const error = await decodePicture(bytesOf('refused', name), name).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'UserError' });
    expect((error as Error).message).toContain(name);
    expect((error as Error).message).toContain(what);
  });

  it.each(['plain.png', 'plain.jpg', 'half-colours.jpg', 'plain.webp', 'lossless.webp'])(
    '%s cut off or damaged anywhere, without hanging or falling',
    async (name) => {
      const whole = bytesOf('pictures', name);
      for (let end = 0; end < whole.length * 0.9; end += 1 + Math.floor(whole.length / 40))
        await expect(decodePicture(whole.subarray(0, end), name), `${name} cut at ${end}`).rejects.toMatchObject({
          name: 'UserError',
        });
      for (let at = 0; at < whole.length; at += 1 + Math.floor(whole.length / 40)) {
        const damaged = Uint8Array.from(whole);
        damaged[at]! ^= 0xff;
        // Some damage is none that a decoder can see.
        const result = await decodePicture(damaged, name).catch((error: Error) => error);
        if (result instanceof Error) expect(result).toMatchObject({ name: 'UserError' });
      }
    },
  );

  it('what is no picture', async () => {
    for (const text of ['', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'GIF', 'hello', '%PDF-1.7'])
      await expect(decodePicture(Buffer.from(text), 'thing')).rejects.toThrow(/thing (is|has)/);
  });

  it('a picture of too many pixels by its header, in a moment', async () => {
    const huge = withSize(bytesOf('pictures', 'plain.png'), 10_000, 10_000);
    await expect(decodePicture(huge, 'huge.png')).rejects.toThrow('huge.png has 10000 x 10000 pixels');
  });
});

/** A PNG whose header claims another size. */
function withSize(png: Buffer, width: number, height: number): Buffer {
  const out = Buffer.from(png);
  out.writeUInt32BE(width, 16);
  out.writeUInt32BE(height, 20);
  out.writeUInt32BE(zlib.crc32(out.subarray(12, 29)), 29);
  return out;
}
