interface Node {
  value?: number;
  children?: Map<number, Node>;
}

/** Texts with a number each, found where they begin in another text. */
export class Trie {
  private readonly root: Node = {};
  /** 1 where a text begins with that UTF-16 unit: most places are passed over by one look */
  private readonly first = new Uint8Array(0x10000);

  insert(text: string, value: number): void {
    this.first[text.charCodeAt(0)] = 1;
    let node = this.root;
    for (let i = 0; i < text.length; i++) {
      node.children ??= new Map();
      const unit = text.charCodeAt(i);
      let child = node.children.get(unit);
      if (!child) node.children.set(unit, (child = {}));
      node = child;
    }
    node.value = value;
  }

  /** `found` for every text that `text` holds at `index`, the shortest first */
  each(text: string, index: number, found: (value: number, end: number) => void): void {
    if (!this.first[text.charCodeAt(index)]) return;
    let node: Node | undefined = this.root;
    for (let i = index; i < text.length; i++) {
      node = node.children?.get(text.charCodeAt(i));
      if (!node) return;
      if (node.value !== undefined) found(node.value, i + 1);
    }
  }
}
