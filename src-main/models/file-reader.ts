import fsp from 'node:fs/promises';
import { UserError } from '../engine/types.ts';

/** Positional reads of one file, every one checked against its size before memory is taken. */
export class FileReader {
  private constructor(
    readonly path: string,
    readonly byteLength: number,
    private readonly handle: fsp.FileHandle,
  ) {}

  /** @throws UserError if the file can't be opened */
  static async open(file: string): Promise<FileReader> {
    try {
      const handle = await fsp.open(file, 'r');
      return new FileReader(file, (await handle.stat()).size, handle);
    } catch (error) {
      throw new UserError(`${file} can't be opened (${(error as NodeJS.ErrnoException).code}); check the path`);
    }
  }

  /** Bytes [offset, offset + length). @throws UserError if the file ends before */
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.byteLength))
      throw new UserError(
        `${this.path} ends at byte ${this.byteLength}, but bytes ${offset} to ${offset + length} were to be read; it is cut off or damaged, fetch it again`,
      );
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.handle.read(bytes, done, Math.min(length - done, 1 << 30), offset + done);
      if (bytesRead === 0)
        throw new UserError(`${this.path} became shorter while it was read; is another program writing it?`);
      done += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
