import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { pictureBytes } from '../../data/picture-bytes.ts';
import type { PictureSource } from '../../data/picture-rows.ts';
import { makeRoom, touch } from '../../engine/cache-room.ts';
import { cacheFolder } from '../../engine/folders.ts';
import { UserError } from '../../engine/types.ts';
import { decodePicture } from '../../models/vision/pictures/decode.ts';
import type { PictureOptions, PreparedPicture } from '../../models/vision/preparation/options.ts';
import { preparePicture } from '../../models/vision/preparation/prepare.ts';

/** A picture that was looked at: what it became, and where its bytes are. */
export interface KeptPicture extends Omit<PreparedPicture, 'rgb'> {
  name: string;
  /** of its bytes */
  sha256: string;
  /** a file, or the bytes in base64 */
  source: { path: string } | { base64: string };
}

const ENDING = '.picture';
const HEADER_BYTES = 24;
/** All prepared pictures of one way of preparing them; the least recently used go first. */
const MOST_KEPT_BYTES = 10 * 2 ** 30;
/** Room is looked for after so many pictures. */
const PICTURES_A_LOOK = 1000;

/**
 * Pictures as a model's tower takes them, in files of the user's cache by what they hold: each is decoded once, and none is held in
 * memory. One that is not there, or not whole, is made again.
 */
export class PictureStore {
  private readonly place: string;
  private written = 0;

  /** @param folder the dataset's: no file outside it is read */
  constructor(
    private readonly options: PictureOptions,
    private readonly folder: string,
  ) {
    const key = crypto.createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 32);
    this.place = path.join(cacheFolder(), 'pictures', key);
  }

  /** Looks at a picture. @throws UserError for one that can't be read or isn't taken */
  async take(source: PictureSource, name: string): Promise<KeptPicture> {
    const bytes = await pictureBytes(source, this.folder, name);
    const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
    const { rgb, ...size } = (await this.kept(sha256)) ?? (await this.make(bytes, sha256, name));
    void rgb;
    const from = 'path' in source ? source : { base64: Buffer.from(source.bytes).toString('base64') };
    return { ...size, name, sha256, source: from };
  }

  /** A picture as it was looked at. @throws UserError where its file is another one by now */
  async read({ sha256, name, source }: KeptPicture): Promise<PreparedPicture> {
    const there = await this.kept(sha256);
    return there ?? this.make(await this.bytes({ sha256, name, source }), sha256, name);
  }

  /** The bytes of a picture as it was looked at. @throws UserError where its file is another one by now */
  async bytes({ sha256, name, source }: Pick<KeptPicture, 'sha256' | 'name' | 'source'>): Promise<Uint8Array> {
    const from = 'path' in source ? source : { bytes: Buffer.from(source.base64, 'base64') };
    const bytes = await pictureBytes(from, this.folder, name);
    if (crypto.createHash('sha256').update(bytes).digest('hex') === sha256) return bytes;
    throw new UserError(`${name} was changed while it was in use; put it back as it was, or start again`);
  }

  private fileOf(sha256: string): string {
    return path.join(this.place, `${sha256}${ENDING}`);
  }

  private async make(bytes: Uint8Array, sha256: string, name: string): Promise<PreparedPicture> {
    const picture = preparePicture(await decodePicture(bytes, name), this.options, name);
    // A cache that can't be written costs time, and nothing else.
    await this.write(this.fileOf(sha256), picture).catch(() => {});
    return picture;
  }

  private async write(file: string, { tiles, width, height, rows, columns, rgb }: PreparedPicture): Promise<void> {
    const header = new Int32Array([tiles, width, height, rows, columns, crc32(rgb) | 0]);
    const aside = `${file}.${process.pid}-${++this.written}.partial`;
    await fsp.mkdir(this.place, { recursive: true });
    await fsp.writeFile(aside, Buffer.concat([new Uint8Array(header.buffer), rgb]));
    await fsp.rename(aside, file);
    if (this.written % PICTURES_A_LOOK === 0) await makeRoom(this.place, file, MOST_KEPT_BYTES, ENDING);
  }

  private async kept(sha256: string): Promise<PreparedPicture | undefined> {
    const file = this.fileOf(sha256);
    const bytes = await fsp.readFile(file).catch(() => undefined);
    if (!bytes || bytes.length < HEADER_BYTES) return undefined;
    const header = Array.from({ length: HEADER_BYTES / 4 }, (_, i) => bytes.readInt32LE(4 * i));
    const [tiles, width, height, rows, columns, crc] = header as [number, number, number, number, number, number];
    const rgb = new Uint8Array(bytes.subarray(HEADER_BYTES));
    if (rgb.length !== tiles * width * height * 3 || (crc32(rgb) | 0) !== crc) return undefined;
    await touch(file);
    return { tiles, width, height, rows, columns, rgb };
  }
}
