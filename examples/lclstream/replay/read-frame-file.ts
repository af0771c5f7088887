// Turns one file's bytes into a frame: .bz2 undone, CBF sections decoded and stacked along the slow axis.
// Owns no state. miniCBF headers (Dectris convention) also say where the beam is and where counts end.
import bzip from 'seek-bzip';
import type { DetectorFrame } from '../frame-source.ts';
import { type CbfSection, NotAFrame, splitCbf } from './cbf-sections.ts';
import { decodeByteOffset } from './decode-byte-offset.ts';
import { decodePacked } from './decode-packed.ts';

function unpack(bytes: Uint8Array): Buffer {
  const isBzip2 = bytes[0] === 0x42 && bytes[1] === 0x5a && bytes[2] === 0x68;
  try {
    // true: a file made by joining .bz2 files (pbzip2 does so) is read to its end.
    const plain = isBzip2 ? bzip.decode(bytes, undefined, true) : bytes;
    return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
  } catch (error) {
    throw new NotAFrame(`not decompressible: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function decodeSection(section: CbfSection): Int32Array {
  return section.compression === 'byte-offset'
    ? decodeByteOffset(section.data, section.elements)
    : decodePacked(section);
}

function beamCentre(header: string): DetectorFrame['beamCentre'] {
  const match = /^#\s*Beam_xy\s*\(([\d.]+),\s*([\d.]+)\)\s*pixels/m.exec(header);
  return match ? { x: Number(match[1]), y: Number(match[2]) } : undefined;
}

function countCutoff(header: string): number | undefined {
  const match = /^#\s*Count_cutoff\s+(\d+)\s+counts/m.exec(header);
  return match ? Number(match[1]) : undefined;
}

/** The frame in a CBF file, int32; throws NotAFrame with the reason when it holds none. */
export function readFrameFile(bytes: Uint8Array, file: string): DetectorFrame {
  const plain = unpack(bytes);
  const sections = splitCbf(plain);
  const columns = sections[0]?.dimensions[0] ?? 0;
  if (sections.some((section) => section.dimensions[0] !== columns))
    throw new NotAFrame('sections of unequal row length');
  const total = sections.reduce((sum, section) => sum + section.elements, 0);
  const pixels = new Int32Array(total);
  let at = 0;
  for (const section of sections) {
    pixels.set(decodeSection(section), at);
    at += section.elements;
  }
  const header = plain.toString('latin1', 0, 8192);
  const [centre, saturation] = [beamCentre(header), countCutoff(header)];
  return {
    shape: [total / columns, columns],
    dtype: 'int32',
    bytes: new Uint8Array(pixels.buffer),
    file,
    ...(centre ? { beamCentre: centre } : {}),
    ...(saturation ? { saturation } : {}),
  };
}
