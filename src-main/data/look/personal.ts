/** What looks like somebody's own: mail addresses, telephone numbers, bank accounts, cards. By pattern and check digits; names aren't seen. */
export type PersonalKind = 'mail' | 'phone' | 'account' | 'card';

const MAIL = /[\p{L}\d._%+-]{1,64}@[\p{L}\d-]{1,63}(\.[\p{L}\d-]{1,63}){1,8}/u;
const ACCOUNT = /\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,4})?\b/g;
const CARD = /(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])/g;
const PHONE =
  /(?<![\d.,][ -]?)(?:\+|00)\d[\d ()/.-]{6,18}\d(?!\d)|(?<![\d.,][ -]?)\(?0\d{1,4}\)?[ /-]\d[\d -]{4,12}\d(?!\d)/;

/** The kinds that occur in a text. */
export function personalKinds(text: string): PersonalKind[] {
  const found: PersonalKind[] = [];
  if (text.search(MAIL) >= 0) found.push('mail');
  if (matches(text, ACCOUNT).some(isAccount)) found.push('account');
  if (matches(text, CARD).some(isCard)) found.push('card');
  if (text.search(PHONE) >= 0) found.push('phone');
  return found;
}

const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([match]) => match);

/** ISO 13616: the account's number, its first four characters behind the rest and letters as numbers, is 1 modulo 97. */
function isAccount(text: string): boolean {
  const compact = text.replaceAll(' ', '');
  const turned = compact.slice(4) + compact.slice(0, 4);
  const digits = turned.replace(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0) === 1;
}

/** ISO/IEC 7812: Luhn's sum is a multiple of 10. */
function isCard(text: string): boolean {
  const digits = [...text.replace(/\D/g, '')].reverse().map(Number);
  const sum = digits.reduce(
    (all, digit, place) => all + (place % 2 ? (digit * 2 > 9 ? digit * 2 - 9 : digit * 2) : digit),
    0,
  );
  return sum % 10 === 0 && new Set(digits).size > 1;
}
