/** What the example draws: the word by which the small default knows it, and the emoji's name in both sets. */
export interface Concept {
  name: string;
  icon: string;
  /** false: drawn in no training picture, only in held-out ones */
  taught: boolean;
}

const named = (taught: boolean, names: string): Concept[] =>
  names.split(' ').map((pair) => {
    const [name, icon = name] = pair.split(':') as [string, string?];
    return { name, icon, taught };
  });

export const CONCEPTS: Concept[] = [
  ...named(true, 'dog:dog-face cat:cat-face pig:pig-face elephant penguin owl turtle snail butterfly fish whale:spouting-whale'),
  ...named(true, 'tree:evergreen-tree cactus mushroom tulip apple:red-apple banana cherry:cherries pizza cake:shortcake'),
  ...named(true, 'car:automobile bus bicycle rocket airplane house sun umbrella balloon guitar key bell camera clock:alarm-clock'),
  ...named(true, 'crown shirt:t-shirt'),
  ...named(false, 'rabbit:rabbit-face duck frog leaf:maple-leaf pear carrot boat:sailboat truck:delivery-truck book:closed-book'),
  ...named(false, 'lamp:light-bulb hat:top-hat gift:wrapped-gift'),
]; // prettier-ignore

export const withArticle = (name: string) => `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;
