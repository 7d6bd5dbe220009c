import { promises as fs } from 'node:fs';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { wholePipeline } from '../models/diffusion/support.ts';
import { packagesOf, runPython } from '../support/python.ts';
import type { StudioClient } from './support/client.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser, openPage, studioInBrowser, untilShown } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(
  `from captioned pictures to a model that paints like them (${noBrowser ?? 'in chromium'})`,
  () => {
    const studio = studioInBrowser();
    let host: Host;
    let browser: Browser;
    let client: StudioClient;
    let page: Page;
    let errors: string[];
    let model: string;
    let data: string;
    let exported: string;
    beforeAll(async () => {
      model = join(studio.folder, 'tiny-painter');
      data = join(studio.folder, 'colours');
      await wholePipeline('sd', model);
      await fs.mkdir(data);
      const colours = { red: '#f01414', green: '#14c81e', blue: '#1e28f0' };
      for (let i = 0; i < 12; i++) {
        const [name, background] = Object.entries(colours)[i % 3]!;
        await sharp({ create: { width: 20, height: 20, channels: 3, background } })
          .png()
          .toFile(join(data, `${i + 10}.png`));
        await fs.writeFile(join(data, `${i + 10}.txt`), `a photo of ${name}`);
      }
      await sharp({ create: { width: 8, height: 8, channels: 3, background: '#fff' } })
        .png()
        .toFile(join(data, 'small.png'));
      await fs.writeFile(join(data, 'small.txt'), 'too small');
      await fs.writeFile(join(data, 'broken.png'), 'no picture');
      await fs.writeFile(join(data, 'broken.txt'), 'broken');
      ({ host, browser, client } = await studio.open());
      await client.models.add({ path: model });
      const fixed = { 'training.steps': 6, 'training.evalSplit': 0.25, 'training.evalEvery': 3, 'training.diffusion.resolution': 16, 'training.diffusion.sampling.steps': 2 }; // prettier-ignore
      const draft = { step: 0, name: 'colours', model: null, mix: [], lossOn: 'answer' as const, memoryBytes: 2 ** 31, seconds: null, fixed }; // prettier-ignore
      await client.drafts.set(draft);
      ({ page, errors } = await openPage(browser, `${host.url}/#/new`));
    });

    const goOn = () => page.getByRole('button', { name: 'Continue' });
    const leftOut = (text: RegExp) => page.getByRole('listitem').filter({ hasText: text });

    it('tells a model that makes pictures from others, and shows the pictures with their captions', async () => {
      const card = page.locator('label.model', { has: page.locator('strong', { hasText: 'tiny-painter' }) });
      await card.getByText('makes pictures').waitFor();
      await card.getByText('built like Stable Diffusion, pictures of about 8 × 8 pixels').waitFor();
      await card.click();
      await goOn().click();
      await page.getByRole('button', { name: 'Browse…' }).click();
      await page.getByRole('button', { name: basename(studio.folder), exact: true }).click();
      await page.getByRole('button', { name: `▸ ${basename(data)}` }).click();
      await page.locator('dialog code', { hasText: data }).waitFor();
      await page.getByRole('button', { name: 'Take this folder as a dataset' }).click();
      await page.getByRole('img', { name: '10.png' }).waitFor();
      await expect.poll(() => page.getByLabel('Example', { exact: true }).textContent()).toBe('a photo of red');
      await leftOut(/^small\.png has 8 x 8 pixels, fewer than the 16 x 16 .*: rows 14$/).waitFor();
      await leftOut(/^broken\.png .*: rows 13$/).waitFor();
      await untilShown(page, 'Learned at 16 × 16 pixels (12).');
      await expect.poll(() => page.getByRole('button', { name: 'Learn the answers' }).count()).toBe(0);
      await page.getByLabel(/of its 14 rows can't be used/).check();
    });

    it('changes a caption beside its picture when the user has said so, and takes it back', async () => {
      await page.getByText('Pictures and captions, to look at and change').click();
      const editor = page.getByRole('region', { name: /^Pictures and captions/ });
      await editor.getByText(`Changed captions are written as .txt files beside the pictures, in ${data}`).waitFor();
      await editor.getByRole('button', { name: 'Change them there' }).click();
      const caption = editor.getByLabel('Caption of 10.png');
      await caption.fill('a photo of crimson');
      await caption.press('Tab');
      await editor.getByText('One file was written.').waitFor();
      await expect.poll(() => fs.readFile(join(data, '10.txt'), 'utf8')).toBe('a photo of crimson\n');
      await expect.poll(() => page.getByLabel('Example', { exact: true }).textContent()).toBe('a photo of crimson');
      await checkAccessibility(page);
      await shoot(page, 'wizard-captions');
      await editor.getByRole('button', { name: 'Undo' }).click();
      await editor.getByText('The last change was taken back.').waitFor();
      await expect.poll(() => fs.readFile(join(data, '10.txt'), 'utf8')).toBe('a photo of red');
    });

    it('is planned in plain words, and paints along the way', async () => {
      await goOn().click();
      await untilShown(page, 'Predicted memory');
      await page.getByLabel('A word to call it by').fill('inkish');
      await page
        .getByLabel('What it is to paint along the way, one prompt a line')
        .fill('inkish, a photo of red\na dog');
      await page.getByLabel('What it is to paint along the way, one prompt a line').press('Tab');
      await page.getByText('Expert: fix any of these yourself').click();
      await page.getByLabel('Steps of a painted picture').waitFor();
      await expect.poll(() => page.getByLabel('Sequence length, tokens').count()).toBe(0);
      // While it is planned anew the plan is pale.
      await expect.poll(() => goOn().isEnabled()).toBe(true);
      await expect.poll(() => page.locator('.card.busy').count()).toBe(0);
      await checkAccessibility(page);
      await shoot(page, 'wizard-painting');
      await goOn().click();
      await page.getByRole('button', { name: 'Start training' }).click();
      const grid = page.getByRole('region', { name: 'Pictures by prompt and step' });
      for (const step of ['Before training', 'Step 3', 'Step 6'])
        for (const prompt of ['inkish, a photo of red', 'a dog'])
          await grid.getByRole('img', { name: `${prompt}, ${step}` }).waitFor();
      await page.getByRole('link', { name: 'Paint', exact: true }).waitFor();
      await grid.getByRole('button', { name: 'Enlarge: a dog, Step 6' }).click();
      await page.getByRole('img', { name: 'a dog, Before training, large' }).waitFor();
      const large = page.getByRole('img', { name: 'a dog, Step 6, large' });
      await large.waitFor();
      // Not the one in small.
      await expect.poll(() => large.getAttribute('src')).toMatch(/^data:image\/png;base64,/);
      const bytes = Buffer.from((await large.getAttribute('src'))!.split(',')[1]!, 'base64');
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 16, height: 16 });
      await page.getByRole('button', { name: 'Earlier' }).click();
      await page.getByRole('img', { name: 'a dog, Step 3, large' }).waitFor();
      await page.getByRole('button', { name: 'Close' }).click();
      await page.getByText('How far it is from the noise in the pictures (loss)').waitFor();
      const { recipe } = await client.runs.get({ id: (await client.runs.list()).runs[0]!.id });
      expect(recipe.training).toMatchObject({ diffusion: { trigger: 'inkish', sampling: { prompts: ['inkish, a photo of red', 'a dog'] } } }); // prettier-ignore
      expect(recipe.training).not.toHaveProperty('loss');
      const map = page.getByRole('img', { name: /^Head map at step 6/ });
      await map.press('ArrowRight');
      await expect.poll(() => map.getAttribute('aria-label')).toContain('Layer 0 (down 2), self k, head 0');
      await checkAccessibility(page);
      await shoot(page, 'run-painting');
    });

    it('paints by the base model and the adapter side by side, from one seed as the run did', async () => {
      await page.getByRole('link', { name: 'Paint', exact: true }).click();
      await page.getByLabel('Prompt', { exact: true }).fill('a dog');
      // The run's second prompt has the seed after its first.
      await page.getByLabel('Seed').fill('1');
      await page.getByLabel('Steps', { exact: true }).fill('2');
      for (const side of ['Width', 'Height']) await page.getByLabel(side).fill('16');
      await page.getByRole('button', { name: 'Paint', exact: true }).click();
      const name = (await client.adapters.list({})).adapters[0]!.name;
      const sourceOf = (by: string) => page.getByRole('img', { name: `a dog, by ${by}`, exact: true }).getAttribute('src'); // prettier-ignore
      const { id } = (await client.runs.list()).runs[0]!;
      const painted = async (step: string) => (await client.runs.picture({ id, picture: `samples/${step}-2.png`, whole: true })).url; // prettier-ignore
      await expect.poll(() => sourceOf('Base model')).toBe(await painted('000000'));
      await expect.poll(() => sourceOf(name)).toBe(await painted('000006'));
      await page.getByRole('button', { name: `Base, whole, pruned and exported “${name}”` }).click();
      await page.getByRole('button', { name: 'Paint', exact: true }).click();
      for (const by of ['Base model', name, `${name} without half of its heads`, `${name} as exported, small`])
        await page
          .getByRole('img', { name: `a dog, by ${by}`, exact: true })
          .first()
          .waitFor();
      const newest = page.getByRole('article').first();
      const sources = () => newest.getByRole('img').evaluateAll((all) => all.map((one) => one.getAttribute('src')));
      await expect.poll(async () => (await sources()).slice(0, 2)).toEqual([await painted('000000'), await painted('000006')]); // prettier-ignore
      await checkAccessibility(page);
      await shoot(page, 'playground-painting');
    });

    it('leaves out one picture that nobody wants, and all of them', async () => {
      const name = (await client.adapters.list({})).adapters[0]!.name;
      await page.getByLabel('Steps', { exact: true }).fill('200');
      await page.getByRole('button', { name: 'Paint', exact: true }).click();
      await page.getByRole('button', { name: `Cancel the picture by ${name} as exported, small` }).click();
      const newest = page.getByRole('article').first();
      const told = (by: string) => newest.getByRole('figure').filter({ hasText: by }).textContent();
      await expect.poll(() => told(`${name} as exported`)).toContain('cancelled');
      await newest.getByRole('img', { name: 'a dog, by Base model' }).waitFor();
      await page.getByRole('button', { name: 'Stop', exact: true }).click();
      await page.getByRole('button', { name: 'Paint', exact: true }).waitFor();
      await expect.poll(() => newest.getByRole('progressbar').count()).toBe(0);
    });

    it('shows inside the adapter which head serves how much noise, and what is painted without some', async () => {
      const [adapter] = (await client.adapters.list({})).adapters;
      await page.goto(`${host.url}/#/library/${adapter!.id}/inspect`);
      const shares = page.getByRole('region', { name: 'Which head serves how much noise' });
      await shares.getByRole('button', { name: 'Measure the shares' }).click();
      await shares.getByText('3 pictures of colours, held out, with always the same noise.').waitFor();
      await expect.poll(() => shares.getByRole('row').count()).toBe(1 + 10);
      await shares.getByRole('rowheader', { name: '0 % – 10 %, nearly clean' }).waitFor();
      await expect.poll(() => shares.getByLabel(/^Place/).locator('option').first().textContent()).toMatch(/layer \d+ \((down|up) \d|middle\), .*changes by up to \d+ %/); // prettier-ignore

      const card = page.getByRole('region', { name: 'Drop curve', exact: true });
      await card.getByRole('button', { name: 'Measure the curve' }).click();
      await card.getByText('3 examples of colours, held out, two random orders.').waitFor();
      await card.getByRole('button', { name: 'Paint along the curve' }).click();
      const along = card.getByRole('region', { name: 'Pictures by the share of heads left out' });
      await along.getByRole('img', { name: 'inkish, a photo of red, by No head' }).waitFor();
      await expect.poll(() => along.getByRole('img').count()).toBe(11);
      const { id } = (await client.runs.list()).runs[0]!;
      const ofRun = async (step: string) => (await client.runs.picture({ id, picture: `samples/${step}-1.png`, whole: true })).url; // prettier-ignore
      const sourceOf = (by: string) => along.getByRole('img', { name: `inkish, a photo of red, by ${by}` }).getAttribute('src'); // prettier-ignore
      await expect.poll(() => sourceOf('All heads')).toBe(await ofRun('000006'));
      await expect.poll(() => sourceOf('No head')).toBe(await ofRun('000000'));
      await along.getByRole('button', { name: 'Leave out 50 % of the heads' }).click();
      await card.getByRole('img', { name: 'inkish, a photo of red, 50 % left out, large' }).waitFor();
      await expect.poll(() => card.locator('dl').textContent()).toMatch(/Loss expected\s*\d/);

      const hand = page.getByRole('region', { name: 'Head map', exact: true });
      await hand.getByRole('button', { name: 'Measure as I switch' }).click();
      await hand.getByRole('img', { name: /^inkish, a photo of red, with \d+ heads off$/ }).waitFor();
      const map = hand.getByRole('img', { name: /^Head map/ });
      await map.press('ArrowRight');
      await expect.poll(() => map.getAttribute('aria-label')).toContain('Layer 0 (down 2), self q, head 0');
      await checkAccessibility(page);
      await shoot(page, 'inspector-painting');
    });

    it('is exported for other programs under the names that they know, and for models that paint alone', async () => {
      const [adapter] = (await client.adapters.list({})).adapters;
      await page.goto(`${host.url}/#/library/${adapter!.id}`);
      await page.getByRole('button', { name: 'Export…' }).click();
      const dialog = page.getByRole('dialog', { name: `Export “${adapter!.name}”` });
      const forms = () => dialog.getByLabel(/^As/).locator('option').allTextContents();
      await expect.poll(forms).toEqual(['LoRA for diffusers', 'LoRA for ComfyUI, A1111 and Forge (kohya)', 'Merged model, diffusers folder', 'Merged model, one file for ComfyUI, A1111 and Forge', 'EffiLoRA file to share (exact)']); // prettier-ignore
      await dialog.getByLabel(/^As/).selectOption('Merged model, diffusers folder');
      await expect.poll(() => dialog.getByLabel(/^Numbers/).locator('option').allTextContents()).toEqual(['as in the base model']); // prettier-ignore
      await dialog.getByLabel(/^As/).selectOption('LoRA for ComfyUI, A1111 and Forge (kohya)');
      await dialog.getByRole('button', { name: 'Export', exact: true }).click();
      await expect.poll(() => dialog.textContent()).toContain('✓ Exported');
      const folder = (await dialog.locator('code').textContent())!;
      const file = (await fs.readdir(folder)).find((name) => name.endsWith('.safetensors'))!;
      const bytes = await fs.readFile(join(folder, file));
      const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as Record<string, { shape: number[] }>; // prettier-ignore
      const { __metadata__: metadata, ...tensors } = header;
      expect(metadata).toHaveProperty('ss_network_module', 'networks.lora');
      const kinds = new Set(Object.keys(tensors).map((name) => name.replace(/^lora_unet_\w+\./, '')));
      expect([...kinds].sort()).toEqual(['alpha', 'lora_down.weight', 'lora_up.weight']);
      const script = join(import.meta.dirname, 'diffusers_paints.py');
      const told = await runPython(script, [model, folder, file], await packagesOf('requirements-diffusers.txt'));
      const { adapters, far } = JSON.parse(told) as { adapters: string[]; far: number };
      expect(adapters).toContain('unet');
      expect(far).toBeGreaterThan(0.01);
      exported = join(folder, file);
      expect(errors).toEqual([]);
    });

    it('comes in again, as a file of other programs, and is an adapter like the others', async () => {
      await page.goto(`${host.url}/#/library`);
      await page.getByRole('button', { name: 'Import an adapter' }).click();
      const dialog = page.getByRole('dialog', { name: 'Import an adapter' });
      await dialog.getByLabel('Path').fill(exported);
      await dialog.getByLabel('Base model').selectOption('tiny-painter');
      await dialog.getByRole('button', { name: 'Import', exact: true }).click();
      await expect.poll(async () => (await client.adapters.list({})).adapters.length).toBe(2);
      await page.getByRole('heading', { level: 1, name: basename(exported, '.safetensors') }).waitFor();
      expect(errors).toEqual([]);
    });
  },
);
