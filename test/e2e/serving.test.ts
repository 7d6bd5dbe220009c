import { join } from 'node:path';
import OpenAI from 'openai';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratchFolder } from '../studio/support/studio.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { checkAccessibility, shoot } from './support/look.ts';
import { noBrowser, openBrowser, openPage, startHost } from './support/studio.ts';
import type { Host } from './support/studio.ts';

describe.skipIf(noBrowser)(`serving from a browser${noBrowser ? ` (${noBrowser})` : ''}`, () => {
  const scratch = scratchFolder();
  const model = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
  let host: Host;
  let browser: Browser;
  let page: Page;
  let errors: string[];

  beforeAll(async () => {
    await writeRandomAdapter(join(scratch.folder, 'tuned'), model, { strength: 4 });
    host = await startHost(scratch.folder);
    browser = await openBrowser();
    ({ page, errors } = await openPage(browser, `${host.url}/#/library`));
    await page.getByRole('button', { name: 'Import an adapter' }).click();
    await page.getByLabel('Path').fill(join(scratch.folder, 'tuned'));
    await page.getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByRole('heading', { name: 'tuned', exact: true }).waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    scratch.remove();
  });

  const card = () => page.getByRole('region', { name: 'For other programs' });
  async function serve(): Promise<string> {
    await card().getByLabel('Port').fill('0');
    await card().getByRole('button', { name: 'Serve' }).click();
    return (await card()
      .getByText(/^http:/)
      .textContent({ timeout: 90_000 }))!;
  }
  async function stop(): Promise<void> {
    await card().getByRole('button', { name: 'Stop serving' }).click();
    await card().getByRole('button', { name: 'Serve', exact: true }).waitFor();
  }
  const request = { messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 8, temperature: 0 };

  it('serves base model and adapter to the OpenAI client until it is stopped', async () => {
    const baseURL = await serve();
    expect(new URL(baseURL).hostname).toBe('127.0.0.1');
    await checkAccessibility(page);
    await shoot(page, 'serving');
    const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
    const names = (await client.models.list()).data.map(({ id }) => id);
    expect(names).toEqual(['tiny-chat', 'tuned']);
    const said = [];
    for (const name of names) {
      const answer = await client.chat.completions.create({ ...request, model: name });
      said.push(answer.choices[0]!.message.content);
    }
    expect(said[0]).not.toBe(said[1]);
    await page.reload();
    expect(
      await card()
        .getByText(/^http:/)
        .textContent(),
    ).toBe(baseURL);
    await stop();
    await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  });

  it('asks for its API key beyond this machine', async () => {
    await card().getByLabel('For the whole network').check();
    const baseURL = await serve();
    const key = await card().locator('code', { hasNotText: 'http' }).first().textContent();
    const ask = (apiKey: string) => new OpenAI({ baseURL, apiKey, maxRetries: 0 }).models.list();
    await expect(ask('wrong')).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect((await ask(key!)).data).toHaveLength(2);
    await stop();
    expect(errors).toEqual([]);
  });
});
