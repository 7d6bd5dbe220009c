import crypto from 'node:crypto';
import { pictureBytes } from '../../data/picture-bytes.ts';
import type { PictureSource } from '../../data/picture-rows.ts';
import { keptFolder, KeptFiles } from '../../engine/kept-files.ts';
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

const HEADER_BYTES = 20;

/**
 * Pictures as a model's tower takes them, in files of the user's cache by what they hold: each is decoded once, and none is held in
 * memory. One that is not there, or not whole, is made again.
 */
export class PictureStore {
  private readonly files: KeptFiles;

  /** @param folder the dataset's: no file outside it is read */
  constructor(
    private readonly options: PictureOptions,
    private readonly folder: string,
  ) {
    const key = crypto.createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 32);
    this.files = new KeptFiles(keptFolder('pictures', key), '.picture');
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

  private async make(bytes: Uint8Array, sha256: string, name: string): Promise<PreparedPicture> {
    const picture = preparePicture(await decodePicture(bytes, name), this.options, name);
    const { tiles, width, height, rows, columns, rgb } = picture;
    const header = new Int32Array([tiles, width, height, rows, columns]);
    await this.files.write(sha256, Buffer.concat([new Uint8Array(header.buffer), rgb]));
    return picture;
  }

  private async kept(sha256: string): Promise<PreparedPicture | undefined> {
    const bytes = await this.files.read(sha256);
    if (!bytes || bytes.length < HEADER_BYTES) return undefined;
    const header = new Int32Array(bytes.buffer, 0, HEADER_BYTES / 4);
    const [tiles = 0, width = 0, height = 0, rows = 0, columns = 0] = header;
    const rgb = bytes.subarray(HEADER_BYTES);
    return rgb.length === tiles * width * height * 3 ? { tiles, width, height, rows, columns, rgb } : undefined;
  }
}
