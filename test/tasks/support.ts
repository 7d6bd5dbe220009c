import fsp from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';

/** A tiny random Idefics3 (models/data/vision/make_talking.py), and pictures of one colour with the question for it. */
const vision = path.join(import.meta.dirname, '../models/data/vision');
const COLOURS = { red: [250, 20, 20], green: [20, 200, 30], blue: [30, 40, 240], white: [250, 250, 250] };

export async function writePictureModel(folder: string): Promise<string> {
  const model = path.join(folder, 'model');
  await fsp.cp(path.join(vision, 'talking/idefics3'), model, { recursive: true });
  await fsp.copyFile(path.join(vision, 'processor/chat_template.jinja'), path.join(model, 'chat_template.jinja'));
  const file = path.join(model, 'processor_config.json');
  // Of two tiles and the whole.
  await fsp.writeFile(file, (await fsp.readFile(file, 'utf8')).replace('"longest_edge": 64', '"longest_edge": 32'));
  return model;
}

/** A folder with 16 pictures, 0.png to 15.png, and a table of these rows and `more`. */
export async function writePictureData(place: string, more: string[] = []): Promise<string> {
  const folder = path.join(place, 'data');
  await fsp.mkdir(folder);
  const rows = ['image,question,answer'];
  for (const [i, [name, [r, g, b]]] of Array.from({ length: 4 })
    .flatMap(() => Object.entries(COLOURS))
    .entries()) {
    const create = { width: 16 + i, height: 16, channels: 3 as const, background: { r: r!, g: g!, b: b! } };
    await sharp({ create })
      .png()
      .toFile(path.join(folder, `${i}.png`));
    rows.push(`${i}.png,What colour?,${name}`);
  }
  await fsp.writeFile(path.join(folder, 'metadata.csv'), `${[...rows, ...more].join('\n')}\n`);
  return folder;
}
