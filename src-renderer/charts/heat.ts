/** The colours of the head map, read from the theme: 256 steps from least to most important. */
export interface Heat {
  ramp: string[];
  frozenFill: string;
  frozenLine: string;
  ink: string;
  muted: string;
  paper: string;
}

export function readHeat(): Heat {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const stops = [0, 1, 2, 3].map((index) => channels(colour(`--heat-${index}`)));
  const ramp = Array.from({ length: 256 }, (_, index) => {
    const at = (index / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    const mixed = stops[low]!.map((value, channel) =>
      Math.round(value + (stops[low + 1]![channel]! - value) * (at - low)),
    );
    return `rgb(${mixed.join(' ')})`;
  });
  return {
    ramp,
    frozenFill: colour('--frozen-fill'),
    frozenLine: colour('--frozen-line'),
    ink: colour('--ink'),
    muted: colour('--muted'),
    paper: colour('--surface'),
  };
}

function channels(hex: string): number[] {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Importance spans orders of magnitude: the square root of its share of the largest keeps small heads visible. */
export function heatIndex(importance: number, peak: number): number {
  return peak > 0 ? Math.min(255, Math.round(255 * Math.sqrt(importance / peak))) : 0;
}

/** A cell of a head that is left out: nothing but a dotted frame and a cross, so that it is never taken for a frozen one. */
export function offTile(width: number, height: number, scale: number, heat: Heat): OffscreenCanvas {
  const [tile, context] = emptyTile(width, height, scale);
  context.strokeStyle = heat.muted;
  context.lineWidth = 1;
  context.setLineDash([2, 2]);
  context.strokeRect(0.5, 0.5, width - 1, height - 1);
  context.setLineDash([]);
  const arm = Math.min(width, height) / 2 - 3;
  if (arm < 1) return tile;
  for (const slope of [1, -1]) {
    context.moveTo(width / 2 - arm, height / 2 - slope * arm);
    context.lineTo(width / 2 + arm, height / 2 + slope * arm);
  }
  context.stroke();
  return tile;
}

/** A frozen head's cell, told without colour, too: struck through and framed. Drawn once, as a thousand strokes are slow. */
export function frozenTile(width: number, height: number, scale: number, heat: Heat): OffscreenCanvas {
  const [tile, context] = emptyTile(width, height, scale);
  context.fillStyle = heat.frozenFill;
  context.fillRect(0, 0, width, height);
  context.strokeStyle = heat.frozenLine;
  context.lineWidth = 1.25;
  context.strokeRect(0.75, 0.75, width - 1.5, height - 1.5);
  context.moveTo(1, height - 1);
  context.lineTo(width - 1, 1);
  context.stroke();
  return tile;
}

function emptyTile(width: number, height: number, scale: number) {
  const tile = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const context = tile.getContext('2d')!;
  context.scale(tile.width / width, tile.height / height);
  return [tile, context] as const;
}
