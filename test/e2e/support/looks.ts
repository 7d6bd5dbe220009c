/** So many elements of a look are measured. */
const OF_A_LOOK = 2;

/**
 * A script for the page that marks, with `data-look`, the first elements of every look it has not seen before in this theme, at whatever
 * width. Elements look alike that have the same kinds and classes of elements around them, all with the same backgrounds, and the same
 * colours, size, weight and kind of text themselves: the cells of a column, or what a wider window showed as well.
 */
export const markLooks = (theme: string): string => `(() => {
  const numbers = (window.lookNumbers ??= new Map());
  const counts = ((window.lookCounts ??= {})['${theme}'] ??= new Map());
  const numberOf = (look) => numbers.get(look) ?? (numbers.set(look, numbers.size), numbers.size - 1);
  const around = (element, style, parent) =>
    [parent, element.localName, element.className.baseVal ?? element.className, style.backgroundColor, style.backgroundImage,
      style.opacity, style.position, style.filter, style.mixBlendMode, style.clipPath].join('|');
  const kindOfText = (element) => {
    const text = [...element.childNodes].map((node) => (node.nodeType === 3 ? node.data : '')).join('').trim();
    const control = element.control ?? element.closest('label')?.control ?? element;
    return [/[\\p{L}\\p{N}]/u.test(text), text.length > 1, control.matches(':disabled'), !!element.closest('[aria-disabled=true]'),
      !!element.closest('[aria-hidden=true]'), !!element.value, !!element.placeholder].join();
  };
  const own = (element, style) =>
    [style.color, style.fontSize, style.fontWeight, style.textShadow, style.webkitTextStroke, style.visibility, kindOfText(element)].join('|');
  function visit(element, parent) {
    element.removeAttribute('data-look');
    if (!element.checkVisibility()) return;
    const style = getComputedStyle(element);
    const place = numberOf(around(element, style, parent));
    const look = numberOf(place + '|' + own(element, style));
    const before = counts.get(look) ?? 0;
    counts.set(look, before + 1);
    if (before < ${OF_A_LOOK}) element.setAttribute('data-look', '');
    for (const child of element.children) visit(child, place);
  }
  visit(document.body, -1);
})()`;
