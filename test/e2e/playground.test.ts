import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { builtProcess } from '../support/built.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { writePictureModel } from '../tasks/support.ts';
import { studioWithAdapters } from './support/adapters.ts';
import type { StudioClient } from './support/client.ts';
import { dragOnto } from './support/drag.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser } from './support/studio.ts';

const PICTURES = join(import.meta.dirname, '../models/data/vision/pictures');
const SCENE = join(PICTURES, 'scene.jpg');

describe.skipIf(noBrowser)(`playground in a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  let studioFolder = '';
  const open = studioWithAdapters(async (folder) => {
    studioFolder = folder;
    const model = writeTinyChatModel(join(folder, 'tiny-chat'), { endless: true });
    await writeRandomAdapter(join(folder, 'exact'), model, { strength: 4 });
    await writeRandomAdapter(join(folder, 'pruned'), model, { strength: 2 });
    const seeing = await writePictureModel(folder);
    await writeRandomAdapter(join(folder, 'seeing'), seeing, { strength: 4 });
    return ['exact', 'pruned'];
  });
  let page: Page;
  let errors: string[];
  let client: StudioClient;
  const answer = (name: string) => page.getByRole('article', { name: `Answer of ${name}` });
  beforeAll(async () => {
    ({ page, errors, client } = await open());
    await page.getByRole('link', { name: 'Library' }).click();
    for (const name of ['exact', 'pruned']) await page.getByLabel(`Choose ${name}`).check();
    await page.getByRole('link', { name: 'Chat', exact: true }).click();
    await page.getByRole('heading', { name: 'Playground' }).waitFor();
  });

  /** how long an answer is by now, characters */
  const lengthOf = async (name: string) => (await answer(name).textContent())!.length;
  const prompt = () => page.getByRole('textbox', { name: 'Prompt', exact: true });

  it('answers one prompt side by side, token by token, and shows what else was likely', async () => {
    await page.getByText('Sampling and system prompt').click();
    await page.getByLabel('Tokens at most').fill('16');
    await page.getByLabel('Temperature').fill('0');
    await prompt().fill('hello there');
    await page.keyboard.press('Enter');
    for (const name of ['Base model', 'exact', 'pruned'])
      await answer(name)
        .getByText(/^[\d.,]+ s$/)
        .waitFor();
    await page.getByLabel('Piece by piece, and how sure it was').check();
    await answer('exact')
      .getByText(/\d+ tokens · [\d.,]+ tokens\/s · on the model in \d+ ms/)
      .waitFor();
    await answer('exact').getByRole('button').first().click();
    await expect.poll(() => answer('exact').getByRole('row').count()).toBe(5);
    await checkAccessibility(page);
    await shoot(page, 'playground');
  });

  it('regenerates with another seed, stops when told to, and keeps the conversation', async () => {
    const stop = page.getByRole('button', { name: 'Stop' });
    const send = page.getByRole('button', { name: 'Send' });
    const again = page.getByRole('button', { name: 'Regenerate' });
    await page.getByLabel('Piece by piece, and how sure it was').uncheck();
    await page.getByLabel('Temperature').fill('1.5');
    const before = await answer('exact').textContent();
    await again.click();
    await again.and(page.locator(':enabled')).waitFor();
    await expect.poll(() => page.getByLabel('Seed').inputValue()).toBe('1');
    await expect.poll(() => answer('exact').textContent()).not.toBe(before);

    // Always the likeliest token, which is never the end: there is always something to stop.
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Tokens at most').fill('8000');
    await again.click();
    await stop.waitFor();
    const place = await stop.boundingBox();
    await expect.poll(() => lengthOf('exact')).toBeGreaterThan(1_500);
    await expect.poll(() => stop.boundingBox()).toEqual(place);
    await stop.click();
    await send.waitFor();
    await again.click();
    await stop.waitFor();
    await prompt().press('Escape');
    await send.waitFor();
    await page.getByLabel('Tokens at most').fill('8');
    await prompt().fill('and then');
    await send.click();
    await again.and(page.locator(':enabled')).waitFor();
    await expect.poll(() => answer('exact').count()).toBe(2);
    const kept = async () => {
      const [chat] = await client.playground.chats();
      return (await client.playground.chat({ id: chat!.id })).conversation.turns.map((turn) => turn.prompt);
    };
    await expect.poll(kept).toEqual(['hello there', 'and then']);
    await page.reload();
    await page.getByRole('button', { name: 'hello there', exact: true }).click();
    await page.getByText('and then').waitFor();
    await expect.poll(() => answer('exact').count()).toBe(2);
  });

  it('shows the chat template and what it makes of a prompt, and refuses a broken one in a sentence', async () => {
    await page.getByText('Chat template').click();
    await page.getByLabel('The prompt as the model reads it').getByText('<|assistant|>').waitFor();
    await page.getByLabel('Template (Jinja)').fill('{% for %}');
    await page.getByRole('button', { name: 'Show the prompt it makes' }).click();
    await page.getByText(/chat template can't be read/).waitFor();
    await page.getByRole('button', { name: 'Back to the model’s own' }).click();
    await page.getByText('The model’s own. What you write here').waitFor();
  });

  it('runs a set of prompts into a table that can be kept', async () => {
    const set = page.getByRole('region', { name: 'A set of prompts' });
    await set.getByLabel('Prompts, one a line').fill('one\n=two\n\nthree');
    await set.getByRole('button', { name: 'Run 3 prompts' }).click();
    await set.getByRole('button', { name: 'Save as CSV' }).and(page.locator(':enabled')).waitFor();
    await expect.poll(() => set.getByRole('row').count()).toBe(4);
    await checkAccessibility(page);
    await shoot(page, 'playground-set');
    const downloading = page.waitForEvent('download');
    await set.getByRole('button', { name: 'Save as CSV' }).click();
    const csv = readFileSync(await (await downloading).path(), 'utf8');
    expect(csv).toMatch(/^prompt,Base model,exact,pruned\r\n/);
    expect(csv).toContain("'=two");
    expect(errors).toEqual([]);
  });

  it('says of a model without eyes that it reads text alone, also to a picture that is dropped', async () => {
    await page.getByText('tiny-chat reads text alone').waitFor();
    await expect.poll(() => page.getByRole('button', { name: 'Add a picture…' }).count()).toBe(0);
    await dragOnto(page.getByRole('region', { name: 'Conversation', exact: true }), [SCENE]);
    await page.getByRole('alert').getByText('tiny-chat reads text alone; choose a base model that sees').waitFor();
  });

  it('asks every column about a picture that was dropped, chosen or pasted, and answers as the command line does', async () => {
    const model = join(studioFolder, 'model');
    await client.models.add({ path: model });
    const { id } = await client.adapters.import({ path: join(studioFolder, 'seeing'), model });
    await page.goto(`${page.url().split('#')[0]}#/playground?ids=${id}`);
    await page.reload();
    const add = page.getByRole('button', { name: 'Add a picture…' });
    await add.waitFor();
    const shown = (name: string) => page.getByRole('img', { name });
    const remove = (name: string) => page.getByRole('button', { name: `Remove ${name}` });
    await dragOnto(prompt(), [SCENE]);
    await remove('scene.jpg').waitFor();
    await checkAccessibility(page);

    // By keyboard, from the button.
    const choosing = page.waitForEvent('filechooser');
    await add.focus();
    await add.and(page.locator(':focus')).waitFor();
    await page.keyboard.press('Enter');
    await (await choosing).setFiles([join(PICTURES, 'plain.png'), join(PICTURES, '../pictures.json')]);
    await page.getByRole('alert').getByText('pictures.json is no picture; PNG, JPEG and WebP are read').waitFor();
    await remove('plain.png').click();
    await shown('plain.png').waitFor({ state: 'detached' });
    await page.evaluate(`(() => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob('${readFileSync(join(PICTURES, 'gray.png'), 'base64')}'), (one) => one.charCodeAt(0));
      data.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
      const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
      document.querySelector('#prompt').dispatchEvent(event);
    })()`);
    await remove('image.png').click();
    await shown('image.png').waitFor({ state: 'detached' });

    await page.setViewportSize({ width: 390, height: 900 });
    await shoot(page, 'playground-picture-390');
    await checkAccessibility(page);
    await page.setViewportSize({ width: 1360, height: 900 });
    await page.getByText('Sampling and system prompt').click();
    await page.getByLabel('Tokens at most').fill('12');
    await page.getByLabel('Temperature').fill('0');
    await prompt().fill('What is in the picture?');
    await prompt().press('Enter');
    for (const [name, ...more] of [['Base model'], ['seeing', '--adapter', join(studioFolder, 'seeing')]] as const) {
      const asked = ['--prompt', 'What is in the picture?', '--picture', SCENE, '--max-tokens', '12', '--json'];
      const args = [builtProcess('effilora.js'), 'generate', '--model', model, ...more, ...asked];
      const { text } = JSON.parse((await promisify(execFile)(process.execPath, args)).stdout) as { text: string };
      await expect.poll(() => answer(name).locator('p.text').textContent()).toBe(text);
    }
    const said = page.getByRole('region', { name: 'What was said' });
    await said.getByRole('img', { name: 'scene.jpg' }).waitFor();
    await remove('scene.jpg').waitFor({ state: 'detached' });

    // Kept with the conversation, and asked about again.
    await page.reload();
    await page.getByRole('button', { name: 'What is in the picture?', exact: true }).click();
    await said.getByRole('img', { name: 'scene.jpg' }).waitFor();
    await add.waitFor();
    const kept = async () => {
      const [chat] = await client.playground.chats();
      const { sampling, turns } = (await client.playground.chat({ id: chat!.id })).conversation;
      return { seed: sampling.seed, turns: turns.map(({ pictures, answers }) => ({ pictures, answers: answers.map(({ text }) => text) })) }; // prettier-ignore
    };
    const { turns } = await kept();
    await page.getByRole('button', { name: 'Regenerate' }).click();
    await expect.poll(kept).toEqual({ seed: 1, turns });
    await shoot(page, 'playground-picture');

    // In a set the lines name the pictures that they are about.
    const set = page.getByRole('region', { name: 'A set of prompts' });
    await dragOnto(set.getByLabel('Prompts, one a line'), [SCENE]);
    await set.getByRole('button', { name: 'Remove scene.jpg' }).waitFor();
    await set.getByLabel('Prompts, one a line').fill('[scene.jpg] What is in the picture?\n[sea.jpg] And here?');
    await set.getByRole('button', { name: 'Run 2 prompts' }).click();
    await set.getByRole('alert').getByText('[sea.jpg] is none of the pictures above.').waitFor();
    await set.getByLabel('Prompts, one a line').fill('[scene.jpg] What is in the picture?\nWhat is in the picture?');
    await set.getByRole('button', { name: 'Run 2 prompts' }).click();
    await set.getByRole('button', { name: 'Save as CSV' }).and(page.locator(':enabled')).waitFor();
    const cells = set.getByRole('row').nth(1).getByRole('cell');
    await expect.poll(async () => (await cells.allTextContents()).map((text) => text.trim())).toEqual(turns[0]!.answers.map((text) => text.trim())); // prettier-ignore
    const without = set.getByRole('row').nth(2).getByRole('cell');
    await expect.poll(async () => (await without.first().textContent())!.trim()).not.toBe(turns[0]!.answers[0]!.trim());
    await checkAccessibility(page);
    expect(errors.filter((text) => !text.includes('400'))).toEqual([]);
  });
});
