/** A file's or folder's own name in a path of any system. */
export const lastPart = (path: string): string => path.split(/[/\\]/).filter(Boolean).at(-1) ?? path;
