import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { studioWithAdapters } from './support/adapters.ts';
import type { StudioClient } from './support/client.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser } from './support/studio.ts';

describe.skipIf(noBrowser)(`playground in a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  const open = studioWithAdapters(async (folder) => {
    const model = writeTinyChatModel(join(folder, 'tiny-chat'), { endless: true });
    await writeRandomAdapter(join(folder, 'exact'), model, { strength: 4 });
    await writeRandomAdapter(join(folder, 'pruned'), model, { strength: 2 });
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
});
