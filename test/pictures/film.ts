import { writeFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import sharp from 'sharp';

const WIDTH = 960;
/** Not larger than this, bytes: what a README may weigh. */
const MOST_BYTES = 3e6;

/** Pictures of a page, one after the other, as an animated WebP. */
export class Film {
  private readonly frames: Buffer[] = [];
  private readonly delays: number[] = [];

  constructor(private readonly page: Page) {}

  /** The page as it is, shown for so long. One that is as the last was lengthens that. */
  async take(milliseconds: number): Promise<void> {
    const shot = await this.page.screenshot();
    const frame = await sharp(shot).resize({ width: WIDTH }).png().toBuffer();
    if (this.frames.at(-1)?.equals(frame)) this.delays[this.delays.length - 1]! += milliseconds;
    else {
      this.frames.push(frame);
      this.delays.push(milliseconds);
    }
  }

  async write(file: string): Promise<void> {
    const film = sharp(this.frames, { join: { animated: true } });
    const bytes = await film.webp({ quality: 85, effort: 4, delay: this.delays, loop: 0 }).toBuffer();
    if (bytes.length > MOST_BYTES) throw new Error(`The film has ${bytes.length} bytes, more than ${MOST_BYTES}`);
    writeFileSync(file, bytes);
    const seconds = this.delays.reduce((sum, delay) => sum + delay, 0) / 1000;
    console.log(`${file}: ${this.frames.length} pictures, ${seconds} s, ${bytes.length} bytes`);
  }
}
