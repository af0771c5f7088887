/**
 * Which data streaming node takes a stream: the one with the most buffer left among those that are linked and have room. Pure, so
 * that every choice can be explained and tested.
 */
import type { StreamingNode } from '../facility/index.ts';

export interface NodeLoad {
  readonly node: StreamingNode;
  /** Its agent was heard of lately. */
  readonly linked: boolean;
  readonly streams: number;
  readonly bufferBytes: number;
  /** What its host can run; undefined: it has not said, and may be tried. */
  readonly engines: readonly string[] | undefined;
}

export type Placement = { readonly node: string } | { readonly why: string };

export interface Wanted {
  readonly engine: string;
  readonly bufferBytes: number;
}

export function placeStream(loads: readonly NodeLoad[], { engine, bufferBytes }: Wanted): Placement {
  const refusals: string[] = [];
  let best: { name: string; left: number } | undefined;
  for (const load of loads) {
    const left = load.node.capacity.bufferBytes - load.bufferBytes;
    if (!load.linked) refusals.push(`${load.node.name} is not linked`);
    else if (load.engines?.includes(engine) === false)
      refusals.push(`${load.node.name} has no ${engine} (it has ${load.engines.join(', ')})`);
    else if (load.streams >= load.node.capacity.streams)
      refusals.push(`${load.node.name} carries its ${load.node.capacity.streams} streams`);
    else if (left < bufferBytes) refusals.push(`${load.node.name} has ${left} buffer bytes left`);
    else if (best === undefined || left > best.left) best = { name: load.node.name, left };
  }
  if (best !== undefined) return { node: best.name };
  return { why: refusals.length > 0 ? refusals.join('; ') : 'the facility has no data streaming node' };
}
