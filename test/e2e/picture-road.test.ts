import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import sharp from 'sharp';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Served } from '../../src-preload/contract/index.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { readAll } from '../models/vision/support.ts';
import { writePictureData, writePictureModel } from '../tasks/support.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

/** The PEFT folder in a zip, its sums checked: configuration and the shapes of its tensors, as Python reads them. */
const READ_PEFT = `
import json, struct, sys, zipfile
zip = zipfile.ZipFile(sys.argv[1])
assert zip.testzip() is None
read = {name.rsplit("/", 1)[-1]: zip.read(name) for name in zip.namelist()}
weights = read["adapter_model.safetensors"]
header = json.loads(weights[8:8 + struct.unpack("<Q", weights[:8])[0]])
assert max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") == len(weights) - 8 - struct.unpack("<Q", weights[:8])[0]
shapes = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
print(json.dumps({"config": json.loads(read["adapter_config.json"]), "shapes": shapes}))`;

describe.skipIf(noBrowser)(`from a folder of pictures to a run (${noBrowser ?? 'in chromium'})`, () => {
  const studio = studioInBrowser();
  let host: Host;
  let browser: Browser;
  let client: StudioClient;
  let page: Page;
  let errors: string[];
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await writePictureModel(studio.folder);
    const broken = ['half.png', 'huge.png'].map((name) => `${name},What colour?,red`);
    data = await writePictureData(studio.folder, broken);
    const whole = await fs.readFile(join(data, '0.png'));
    await fs.writeFile(join(data, 'half.png'), whole.subarray(0, -20));
    const huge = { width: 10_000, height: 10_000, channels: 3 as const, background: '#fff' };
    await sharp({ create: huge, limitInputPixels: false }).png().toFile(join(data, 'huge.png'));
    ({ host, browser, client } = await studio.open());
    await client.models.add({ path: writeTinyChatModel(join(studio.folder, 'tiny-chat')) });
    await client.models.add({ path: model });
    const fixed = { 'training.steps': 4, 'training.sequenceLength': 400, 'training.evalSplit': 0.25 };
    const draft = { step: 0, name: 'colours', model: null, mix: [], lossOn: 'answer' as const, memoryBytes: 2 ** 31, seconds: null, fixed }; // prettier-ignore
    await client.drafts.set(draft);
    ({ page, errors } = await openPage(browser, `${host.url}/#/new`));
  });

  const goOn = () => page.getByRole('button', { name: 'Continue' });
  const card = (name: string) => page.locator('label.model', { has: page.locator('strong', { hasText: name }) });
  const leftOut = (text: RegExp) => page.getByRole('listitem').filter({ hasText: text });

  it('explains to who chose a model without eyes that it needs one with them', async () => {
    await expect.poll(() => card('tiny-chat').getByText('sees pictures').count()).toBe(0);
    await card('tiny-chat').click();
    await goOn().click();
    await page.getByRole('button', { name: 'Browse…' }).click();
    await page.getByRole('button', { name: basename(studio.folder), exact: true }).click();
    await page.getByRole('button', { name: `▸ ${basename(data)}` }).click();
    await page.locator('dialog code', { hasText: data }).waitFor();
    await page.getByRole('button', { name: 'Take this folder as a dataset' }).click();
    await page.getByRole('alert').getByText('the base model reads text alone; choose one that sees pictures').waitFor();
    await expect.poll(() => goOn().isEnabled()).toBe(false);
  });

  it('shows what becomes of the pictures, and names those that are no use by their rows', async () => {
    await page.locator('.steps button').first().click();
    await card('model').getByText('sees pictures').waitFor();
    await card('model').click();
    await goOn().click();
    await page.getByRole('img', { name: '0.png' }).waitFor();
    await untilShown(page, /^0\.png becomes \d+ tokens, of \d+ in all; none of a picture’s is learned\.$/);
    const example = page.getByLabel('Example', { exact: true });
    await expect.poll(() => example.locator('mark').allTextContents()).toEqual([expect.stringContaining('red')]);
    await leftOut(/^half\.png is not a whole PNG picture .*: rows 18$/).waitFor();
    await leftOut(/^huge\.png has 10000 x 10000 pixels.*: rows 19$/).waitFor();
    await page.getByLabel('Next example').click();
    await page.getByRole('img', { name: '1.png' }).waitFor();
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await checkAccessibility(page);
      await shoot(page, `wizard-pictures-${width}`);
    }
    await page.setViewportSize({ width: 1360, height: 900 });
    await page.getByLabel(/of its 18 rows can't be used/).check();
  });

  it('trains on them, and shows each beside the answers to its question', async () => {
    await goOn().click();
    await untilShown(page, 'Predicted memory');
    // What sees may learn, too; what can't be had with it is said beside the option.
    await page.getByText('Expert: fix any of these yourself').click();
    const trainable = () => page.locator('details', { hasText: 'What it builds, and why' }).getByText(/trainable parameters/).textContent(); // prettier-ignore
    const before = await trainable();
    await page.getByLabel('What looks at a picture').selectOption('learns with heads (adapted)');
    await expect.poll(trainable).not.toBe(before);
    await page.getByText('What it builds, and why').click();
    await page.getByText(/^As many heads a place in the tower \(q, k, v, out, fc1, fc2\)/).waitFor();
    await page.getByRole('img', { name: /^2 layers, 7 places each, 1 head a place/ }).waitFor();
    await page.getByLabel('Policy').selectOption('prefix');
    await page
      .getByRole('alert')
      .getByText(/^Policy is prefix, .* take topk/)
      .waitFor();
    await page.getByLabel('Policy').selectOption('topk');
    await page.getByRole('button', { name: 'What is this: Tower?' }).waitFor();
    await checkAccessibility(page);
    await shoot(page, 'wizard-what-sees');
    await goOn().click();
    await page.getByRole('button', { name: 'Start training' }).click();
    await page.getByRole('link', { name: 'Chat', exact: true }).waitFor();
    const samples = page.getByRole('region', { name: 'Sample answers' });
    await expect.poll(() => samples.getByRole('img', { name: /^\d+\.png$/ }).count()).toBe(2);
    await samples.getByText('Before training').first().waitFor();
    await checkAccessibility(page);
    await shoot(page, 'run-pictures');
  });

  it('shows them on the dataset’s page, too', async () => {
    const { id } = (await client.datasets.list()).find(({ path }) => path === data)!;
    await page.goto(`${host.url}/#/datasets/${encodeURIComponent(id)}`);
    const rows = page.getByRole('region', { name: 'Rows' });
    await rows.getByRole('img', { name: '15.png' }).waitFor();
    await rows.getByRole('row').filter({ hasText: 'half.png is not a whole PNG picture' }).waitFor();
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await checkAccessibility(page);
      await shoot(page, `dataset-pictures-${width}`);
    }
  });

  it('is asked about a picture that is dropped', async () => {
    await page.setViewportSize({ width: 1360, height: 900 });
    const [adapter] = (await client.adapters.list({})).adapters;
    await page.goto(`${host.url}/#/library/${adapter!.id}`);
    await page.getByRole('link', { name: 'Chat', exact: true }).click();
    await page.getByRole('button', { name: 'Add a picture…' }).waitFor();
    await page.getByText('Sampling and system prompt').click();
    await page.getByLabel('Tokens at most').fill('4');
    const prompt = page.getByRole('textbox', { name: 'Prompt', exact: true });
    await dragOnto(prompt, [join(data, '2.png')]);
    await page.getByRole('button', { name: 'Remove 2.png' }).waitFor();
    await prompt.fill('What colour?');
    await prompt.press('Enter');
    const asked = async () => {
      const [chat] = await client.playground.chats();
      return chat && (await client.playground.chat({ id: chat.id })).conversation.turns;
    };
    const sha256 = createHash('sha256')
      .update(await fs.readFile(join(data, '2.png')))
      .digest('hex');
    const tokens = expect.toSatisfy((count: number) => count > 0 && count <= 4) as number;
    await expect.poll(asked).toMatchObject([{ prompt: 'What colour?', pictures: [{ id: sha256 }], answers: [{ tokens }, { tokens }] }]); // prettier-ignore
  });

  it('shows over a picture which head serves each patch, with its numbers by pointer and by keys', async () => {
    const [adapter] = (await client.adapters.list({})).adapters;
    await page.goto(`${host.url}/#/library/${adapter!.id}/inspect`);
    const card = page.getByRole('region', { name: 'Which head serves which token and patch' });
    await card.getByRole('button', { name: 'Add a picture…' }).waitFor();
    await dragOnto(card.getByLabel('Text'), [join(data, '0.png')]);
    await card.getByRole('button', { name: 'Remove 0.png' }).waitFor();
    await card.getByLabel('Text').fill('What colour?');
    await card.getByLabel('Place').selectOption('q_proj');
    await card.getByRole('button', { name: 'Colour text and pictures' }).click();
    // 16 x 16 pixels at a longest edge of 32: two by two tiles of 2 x 2 tokens, and the whole.
    const map = card.getByRole('img', { name: /^0\.png, its 4 tiles: 16 patches, head \d serves \d+/ });
    await map.waitFor();
    const patches = map.locator('.patch');
    await expect.poll(() => patches.count()).toBe(16);
    await map.press('ArrowRight');
    await map.press('ArrowDown');
    await map.press('ArrowRight');
    await map.press('ArrowRight');
    // Down one and right two from the first: in the second tile.
    const told = card.locator('figure .told');
    await expect.poll(() => told.textContent()).toMatch(/^Tile 2, patch in row 2 of 4, column 3 of 4: head \d+ \d+ %/);
    const shares = [...(await told.textContent())!.matchAll(/head (\d+) (\d+) %/g)].map(([, head, share]) => [Number(head), Number(share)]); // prettier-ignore
    expect(Math.abs(shares.reduce((sum, [, share]) => sum + share!, 0) - 100)).toBeLessThanOrEqual(shares.length / 2);
    // It has the colour that the legend gives its head, which is the first named.
    const favoured = shares[0]![0]!;
    const ground = card.locator('figure .key', { hasText: `Head ${favoured}:` });
    const legend = (await ground.evaluate('(element) => getComputedStyle(element).backgroundColor')) as string;
    await expect.poll(() => patches.nth(6).evaluate('(element) => getComputedStyle(element).fill')).toBe(legend);
    await patches.nth(15).hover();
    await expect.poll(() => told.textContent()).toMatch(/^Tile 4, patch in row 4 of 4, column 4 of 4/);
    await card.getByText('Show the shares of 0.png by patch as a table').click();
    await expect.poll(() => card.getByRole('region', { name: 'The shares of 0.png by patch' }).getByRole('row').count()).toBe(17); // prettier-ignore
    await card.getByText('▦ 0.png, tile 3').waitFor();
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await checkAccessibility(page);
      await expect.poll(() => page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      await shoot(page, `inspector-patches-${width}`);
    }
    await page.setViewportSize({ width: 1360, height: 900 });
    await card.getByRole('button', { name: 'the whole at once' }).click();
    await expect.poll(() => card.locator('.patch').count()).toBe(4);
    // What sees has routers, too: of its own patches.
    await card.getByLabel('Place').selectOption('tower.q_proj');
    await card.getByRole('button', { name: 'Colour text and pictures' }).click();
    await card.getByRole('img', { name: /^0\.png, the whole at once: 16 patches/ }).waitFor();
  });

  it('is exported as a PEFT folder, downloaded whole, with every module by the name that transformers has for it', async () => {
    const [adapter] = (await client.adapters.list({})).adapters;
    await page.goto(`${host.url}/#/library/${adapter!.id}`);
    await page.getByRole('button', { name: 'Export…' }).click();
    const dialog = page.getByRole('dialog', { name: `Export “${adapter!.name}”` });
    await dialog.getByRole('button', { name: 'Export', exact: true }).click();
    await expect.poll(() => dialog.textContent()).toContain('✓ Exported');
    // A plain LoRA of a tower can't be read back: that is said, and the export is there.
    await dialog.getByText(/^It is not in the library: .* vision or audio part/).waitFor();
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      dialog.getByRole('link', { name: /^Download .*-peft\.zip$/ }).click(),
    ]);
    const { config, shapes } = JSON.parse(
      execFileSync('python3', ['-c', READ_PEFT, await file.path()], { encoding: 'utf8' }),
    ) as { config: Record<string, unknown>; shapes: Record<string, number[]> };
    const rank = config['r'] as number;
    expect(config).toMatchObject({ peft_type: 'LORA', lora_alpha: expect.any(Number) as number });
    // The base model's file was written by transformers: its linears have the names that PEFT looks for.
    const weights = await readAll(join(model, 'model.safetensors'));
    const linears = [...weights].filter(([name]) => /(text_model|vision_model\.encoder)\.layers\.\d+\.(self_attn|mlp)\.\w+\.weight$/.test(name)); // prettier-ignore
    expect(linears).toHaveLength(2 * 7 + 2 * 6);
    const expected = linears.flatMap(([name, { shape }]) => [
      [`base_model.model.${name.replace(/weight$/, 'lora_A.weight')}`, [rank, shape[1]]],
      [`base_model.model.${name.replace(/weight$/, 'lora_B.weight')}`, [shape[0], rank]],
    ]);
    expect(shapes).toEqual(Object.fromEntries(expected));
    await dialog.getByRole('button', { name: 'Close' }).click();
  });

  it('is served with calls that show it a picture, which run as they are copied', async () => {
    const [adapter] = (await client.adapters.list({})).adapters;
    const card = page.getByRole('region', { name: 'For other programs' });
    await card.getByLabel('Port').fill('0');
    await card.getByRole('button', { name: 'Serve' }).click();
    await card.getByText('Both ask about a file picture.png.').waitFor();
    let served: Served | undefined;
    for await (const now of await client.serving.watch()) if ((served = now ?? undefined)) break;
    const { name } = served!.models.find(({ adapterId }) => adapterId === adapter!.id)!;
    const openai = new OpenAI({ baseURL: served!.url, apiKey: served!.token!, maxRetries: 0 });
    const bytes = await fs.readFile(join(data, '0.png'));
    const url = `data:image/png;base64,${bytes.toString('base64')}`;
    const content = [{ type: 'image_url' as const, image_url: { url } }, { type: 'text' as const, text: 'What is in the picture?' }]; // prettier-ignore
    const expected = await openai.chat.completions.create({ model: name, messages: [{ role: 'user', content }], max_tokens: 1 }); // prettier-ignore
    await fs.mkdir(join(studio.folder, 'calls'));
    await fs.writeFile(join(studio.folder, 'calls/picture.png'), bytes);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const run = async (what: string, program: string) => {
      await card.getByRole('button', { name: `Copy as ${what}` }).click();
      await card.getByText(`${what} copied.`).waitFor();
      const call = await page.evaluate<string>('navigator.clipboard.readText()');
      return promisify(execFile)(program, ['-c', call], { cwd: join(studio.folder, 'calls') });
    };
    const byCurl = JSON.parse((await run('curl', 'sh')).stdout) as typeof expected;
    expect(byCurl).toMatchObject({ object: 'chat.completion', model: name });
    // As many tokens asked: the picture's are among them.
    expect(byCurl.usage!.prompt_tokens).toBe(expected.usage!.prompt_tokens);
    expect(byCurl.usage!.prompt_tokens).toBeGreaterThan(5 * 4);
    expect((await run('Python', 'python3')).stderr).toBe('');
    await card.getByRole('button', { name: 'Stop serving' }).click();
    await card.getByRole('button', { name: 'Serve', exact: true }).waitFor();
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
  });
});
