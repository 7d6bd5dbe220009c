import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { languagesOf, languagesOfCard } from '../../src-main/models/languages.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { temporary } from '../trainer/support.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';

it.each([
  ['en', ['en']],
  [
    ['en', 'de', 'pt-BR'],
    ['en', 'de', 'pt-BR'],
  ],
  [['multilingual', 7, 'fr'], ['fr']],
  [undefined, undefined],
  [[], undefined],
])('takes codes of languages out of %j', (given, codes) => expect(languagesOf(given)).toEqual(codes));

it('knows a folder’s languages from its card, and opens it whatever the card is', async () => {
  const work = temporary('languages');
  const folder = writeTinyChatModel(path.join(work, 'tiny'));
  const languages = async (card?: string) => {
    if (card !== undefined) fs.writeFileSync(path.join(folder, 'README.md'), card);
    const file = await openTextModel(folder);
    await file.close();
    return file.languages;
  };
  expect(await languages()).toBeUndefined();
  expect(await languages('---\nlanguage:\n- de\n- en\nlicense: mit\n---\n# A model')).toEqual(['de', 'en']);
  expect(await languages('---\nlanguage: [de\n---\n')).toBeUndefined();
  expect(await languages('language: de')).toBeUndefined();
  expect(await languagesOfCard(path.join(work, 'nowhere'))).toBeUndefined();
  fs.rmSync(work, { recursive: true });
});
