/** The scripts of Unicode by which text is cut; characters of several scripts count to Common, as their own property says. */
const NAMES =
  'Latin Common Inherited Greek Cyrillic Han Hiragana Katakana Hangul Arabic Hebrew Devanagari Bengali Gurmukhi Gujarati Oriya ' +
  'Tamil Telugu Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Ethiopic Cherokee Canadian_Aboriginal Ogham Runic Khmer ' +
  'Mongolian Armenian Thaana Bopomofo Yi Old_Italic Gothic Deseret Tagalog Hanunoo Buhid Tagbanwa Limbu Tai_Le Linear_B Ugaritic ' +
  'Shavian Osmanya Cypriot Braille Buginese Coptic New_Tai_Lue Glagolitic Tifinagh Syloti_Nagri Old_Persian Kharoshthi Balinese ' +
  'Cuneiform Phoenician Phags_Pa Nko Sundanese Lepcha Ol_Chiki Vai Saurashtra Kayah_Li Rejang Lycian Carian Lydian Cham Tai_Tham ' +
  'Tai_Viet Avestan Egyptian_Hieroglyphs Samaritan Lisu Bamum Javanese Meetei_Mayek Syriac';
const SCRIPTS = NAMES.split(' ').map((name) => [name, new RegExp(`\\p{Script=${name}}`, 'u')] as const);
const known = new Map<number, string>();

/** Hiragana and Katakana count as Han; undefined for a space, which belongs to any script. */
export function scriptOf(codePoint: number): string | undefined {
  if (codePoint === 0x20) return undefined;
  if (codePoint === 0x30fc) return 'Han';
  let script = known.get(codePoint);
  if (script === undefined) {
    const character = String.fromCodePoint(codePoint);
    script = SCRIPTS.find(([, regex]) => regex.test(character))?.[0] ?? 'other';
    if (script === 'Hiragana' || script === 'Katakana') script = 'Han';
    known.set(codePoint, script);
  }
  return script;
}
