import crypto from 'node:crypto';
import { pictureBytes } from '../data/picture-bytes.ts';
import type { PictureSource } from '../data/picture-rows.ts';
import { keptFolder, KeptFiles } from '../engine/kept-files.ts';
import { UserError } from '../engine/types.ts';
import { decodePicture } from '../models/vision/pictures/decode.ts';
import type { Picture } from '../models/vision/pictures/picture.ts';

/** What a model takes of a picture: some numbers about it, and its pixels. */
export type Prepared<Numbers> = Numbers & { rgb: Uint8Array };

/** How a kind of model prepares pictures. */
export interface Preparation<Numbers extends Record<keyof Numbers, number>> {
  /** what it depends on beside the picture */
  options: object;
  /** whole numbers, in the order in which they are kept */
  numbers: (keyof Numbers)[];
  /** of pixels, where the numbers are these */
  bytes(numbers: Numbers): number;
  /** @throws UserError for a picture that isn't taken */
  make(picture: Picture, name: string): Prepared<Numbers>;
}

/** Where a picture's bytes are, and what they are. */
export interface FoundPicture {
  name: string;
  /** of its bytes */
  sha256: string;
  /** a file, or the bytes in base64 */
  source: { path: string } | { base64: string };
}

/** A picture that was looked at, and what it became. */
export type KeptPicture<Numbers> = Numbers & FoundPicture;

/**
 * Pictures as a model takes them, in files of the user's cache by what they hold: each is decoded once, and none is held in memory. One
 * that is not there, or not whole, is made again.
 */
export class PictureStore<Numbers extends Record<keyof Numbers, number>> {
  private readonly files: KeptFiles;

  /** @param folder the dataset's: no file outside it is read */
  constructor(
    private readonly preparation: Preparation<Numbers>,
    private readonly folder: string,
  ) {
    const { options } = preparation;
    const key = crypto.createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 32);
    this.files = new KeptFiles(keptFolder('pictures', key), '.picture');
  }

  /** Looks at a picture. @throws UserError for one that can't be read or isn't taken */
  async take(source: PictureSource, name: string): Promise<KeptPicture<Numbers>> {
    const bytes = await pictureBytes(source, this.folder, name);
    const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
    const prepared = (await this.kept(sha256)) ?? (await this.make(bytes, sha256, name));
    const from = 'path' in source ? source : { base64: Buffer.from(source.bytes).toString('base64') };
    return { ...this.numbersOf(prepared), name, sha256, source: from };
  }

  /** A picture as it was looked at. @throws UserError where its file is another one by now */
  async read(picture: FoundPicture): Promise<Prepared<Numbers>> {
    const there = await this.kept(picture.sha256);
    return there ?? this.make(await this.bytes(picture), picture.sha256, picture.name);
  }

  /** The bytes of a picture as it was looked at. @throws UserError where its file is another one by now */
  async bytes({ sha256, name, source }: FoundPicture): Promise<Uint8Array> {
    const from = 'path' in source ? source : { bytes: Buffer.from(source.base64, 'base64') };
    const bytes = await pictureBytes(from, this.folder, name);
    if (crypto.createHash('sha256').update(bytes).digest('hex') === sha256) return bytes;
    throw new UserError(`${name} was changed while it was in use; put it back as it was, or start again`);
  }

  private async make(bytes: Uint8Array, sha256: string, name: string): Promise<Prepared<Numbers>> {
    const prepared = this.preparation.make(await decodePicture(bytes, name), name);
    const header = Int32Array.from(this.preparation.numbers, (number) => prepared[number]);
    await this.files.write(sha256, Buffer.concat([new Uint8Array(header.buffer), prepared.rgb]));
    return prepared;
  }

  private async kept(sha256: string): Promise<Prepared<Numbers> | undefined> {
    const { numbers: names, bytes: bytesOf } = this.preparation;
    const bytes = await this.files.read(sha256);
    if (!bytes || bytes.length < 4 * names.length) return undefined;
    const header = new Int32Array(bytes.buffer, 0, names.length);
    const numbers = Object.fromEntries(names.map((name, i) => [name, header[i]])) as Numbers;
    const rgb = bytes.subarray(4 * names.length);
    return rgb.length === bytesOf(numbers) ? { ...numbers, rgb } : undefined;
  }

  private numbersOf(prepared: Numbers): Numbers {
    return Object.fromEntries(this.preparation.numbers.map((name) => [name, prepared[name]])) as unknown as Numbers;
  }
}
