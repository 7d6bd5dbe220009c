/** There Ctrl-K deletes to a line's end; the key for commands is ⌘. */
export const isMac = navigator.platform.startsWith('Mac');
